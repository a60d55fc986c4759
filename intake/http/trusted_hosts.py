"""Validation of the Host header."""

import re
from collections.abc import Sequence

from starlette.types import Scope

from intake.errors import IntakeError, InvalidHostHeader, MisdirectedRequest

_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
PROBES = ("/healthz", "/readyz")  # which are sent to an address instead of a name


class TrustedHosts:
    """Accepts requests with exactly one Host header, and only for allowed hosts, if any are configured."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._names = frozenset(host for host in allowed if not host.startswith("*."))
        self._suffixes = tuple(host[1:] for host in allowed if host.startswith("*."))

    def error(self, scope: Scope) -> IntakeError | None:
        """Return the error with which to refuse a request, if any."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1 or (not hosts and scope["http_version"] == "1.1"):
            return InvalidHostHeader("send exactly one Host header")
        if scope["path"].rstrip("/") in PROBES or self._is_allowed(host_name(b"".join(hosts).decode("latin-1"))):
            return None
        return MisdirectedRequest("this service does not serve the requested host")

    def _is_allowed(self, name: str) -> bool:
        is_subdomain = name.endswith(self._suffixes) and _DOMAIN.fullmatch(name)
        return not (self._names or self._suffixes) or name in self._names or bool(is_subdomain)


def host_name(host: str) -> str:
    """Return the host in lower case, without its port and trailing dot."""
    name, bracket, _port = host.lower().partition("]")
    return name + bracket if bracket else name.partition(":")[0].removesuffix(".")

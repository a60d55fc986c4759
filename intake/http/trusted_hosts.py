"""Validation of the Host header."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from intake.errors import IntakeError, InvalidHostHeader, MisdirectedRequest
from intake.http.problems import on_intake_error

PROBES = ("/healthz", "/readyz")  # which are sent to an address instead of a name


class TrustedHostMiddleware:
    """Refuses requests without exactly one Host header, or for a host that is not allowed (if any are configured)."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app = app
        self._names = frozenset(host for host in allowed if not host.startswith("*."))
        self._suffixes = tuple(host[1:] for host in allowed if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._error(scope)) is not None:
            response = await on_intake_error(Request(scope), error)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _error(self, scope: Scope) -> IntakeError | None:
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) > 1 or (not hosts and scope["http_version"] == "1.1"):
            return InvalidHostHeader("send exactly one Host header")
        if scope["path"].rstrip("/") in PROBES or self._is_allowed(host_name("".join(hosts))):
            return None
        return MisdirectedRequest("this service does not serve the requested host")

    def _is_allowed(self, name: str) -> bool:
        return not (self._names or self._suffixes) or name in self._names or name.endswith(self._suffixes)


def host_name(host: str) -> str:
    """Return the host in lower case, without its port and trailing dot."""
    name, bracket, _port = host.lower().partition("]")
    return name + bracket if bracket else name.partition(":")[0].removesuffix(".")

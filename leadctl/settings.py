"""Settings from flags and environment; a flag overrides the environment."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from leadctl.errors import UsageError

DEFAULT_URL = "http://127.0.0.1:8000"
MAX_LIST_BYTES = 8 * 2**20  # of JSON that is read into memory: a page of 1,000 records of 8 KiB


@dataclass(frozen=True)
class Flags:
    """Global options of the command line, in the order of `leadctl.cli.root`."""

    url: str | None = None
    profile: str | None = None
    cacert: Path | str | None = None
    insecure_http: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False


@dataclass(frozen=True)
class Settings:
    """Server, profile and token as requested; None if not given. `url` has no trailing slash."""

    url: str | None
    url_source: str
    profile: str | None
    profile_source: str
    token: str | None = field(repr=False)
    cacert: Path | str | None
    insecure_http: bool

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], flags: Flags) -> "Settings":
        """Read LEADCTL_* variables and flags. Raises UsageError."""
        url, url_source = _first(flags.url, "--url", environ, "LEADCTL_URL")
        profile, profile_source = _first(flags.profile, "--profile", environ, "LEADCTL_PROFILE")
        if profile is not None and not is_profile_name(profile):
            raise UsageError(
                f"{profile_source} is {profile!r}; a profile name has 1 to 64 letters, digits, '.', '_' or '-'"
            )
        token = environ.get("LEADCTL_TOKEN", "").strip()
        if token and not is_token(token):
            raise UsageError("LEADCTL_TOKEN is not a valid token")
        return cls(
            url=None if url is None else server_url(url, url_source),
            url_source=url_source,
            profile=profile,
            profile_source=profile_source,
            token=token or None,
            cacert=flags.cacert,
            insecure_http=flags.insecure_http or environ.get("LEADCTL_INSECURE_HTTP") == "1",
        )


def _first(flag: str | None, flag_name: str, environ: Mapping[str, str], name: str) -> tuple[str | None, str]:
    return (environ.get(name) or None, name) if flag is None else (flag, flag_name)


def is_profile_name(text: str) -> bool:
    """Return whether a profile can have this name, which is safe in a shell."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", text) is not None


def is_loopback_host(host: str) -> bool:
    """Return whether the host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server_url(text: str, source: str) -> str:
    """Return the URL in a canonical spelling, so that URLs can be compared. Raises UsageError, naming the source.

    A host name stands for HTTPS, or for HTTP on this machine, where hardly any service has a certificate.
    """
    try:
        if text and "://" not in text and not re.match("https?:", text):  # a slash may be missing
            text = f"{'http' if is_loopback_host(urlsplit(f'//{text}').hostname or '') else 'https'}://{text}"
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        usable = parts.scheme in ("http", "https") and re.fullmatch(r"[a-z0-9._:-]+", host) and (parts.port or 1)
    except ValueError:  # UnicodeError is one
        usable = False
    if not usable or re.search(r"[?#@\s\x00-\x1f]", text):
        # it may contain a password, which must not be printed
        shown = "(not shown)" if "@" in text else repr(text)
        raise UsageError(f"{source} is {shown}; expected http://HOST[:PORT] or https://HOST[:PORT]")
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{authority.lower()}{slash}{path}".rstrip("/")


def is_state(text: str) -> bool:
    """Return whether a lead state can have this name; only such names are offered for completion."""
    return re.fullmatch(r"[A-Z][A-Z0-9_]{0,31}", text) is not None


def is_token(text: str) -> bool:
    """Return whether the text is valid as a bearer token (RFC 6750, section 2.1)."""
    return re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", text) is not None

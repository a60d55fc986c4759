"""Where the server is and who we are there, as flags and the environment say; a flag counts more."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from leadctl.errors import UsageError

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Flags:
    """What was given on the command line."""

    url: str | None = None
    profile: str | None = None
    cacert: Path | None = None
    insecure_http: bool = False
    is_quiet: bool = False
    is_verbose: bool = False
    is_debug: bool = False


@dataclass(frozen=True)
class Settings:
    """What was given of where the server is, and how it is reached; None where nothing was.

    `url` has no last slash. A `token` that was given is neither renewed nor kept.
    """

    url: str | None
    url_source: str
    profile: str | None
    profile_source: str
    token: str | None = field(repr=False)
    cacert: Path | None
    insecure_http: bool

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], flags: Flags) -> "Settings":
        """Read LEADCTL_*; a flag counts more. Raises Usage."""
        url, url_source = _first(flags.url, "--url", environ, "LEADCTL_URL")
        profile, profile_source = _first(flags.profile, "--profile", environ, "LEADCTL_PROFILE")
        token = environ.get("LEADCTL_TOKEN", "").strip()
        if token and not is_token(token):
            raise UsageError("LEADCTL_TOKEN holds no token")
        return cls(
            url=server_url(url, url_source) if url else None,
            url_source=url_source,
            profile=_profile_name(profile, profile_source) if profile else None,
            profile_source=profile_source,
            token=token or None,
            cacert=flags.cacert,
            insecure_http=flags.insecure_http or environ.get("LEADCTL_INSECURE_HTTP") == "1",
        )


def _first(flag: str | None, flag_name: str, environ: Mapping[str, str], name: str) -> tuple[str | None, str]:
    return (flag, flag_name) if flag else (environ.get(name), name)


def _profile_name(text: str, source: str) -> str:
    if is_profile_name(text):
        return text
    raise UsageError(f"{source} is {text!r}; a profile's name is 1 to 64 of letters, digits, '.', '_' and '-'")


def is_profile_name(text: str) -> bool:
    """Return whether a profile can be called that; no shell makes anything of it."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", text) is not None


def server_url(text: str, source: str) -> str:
    """Return the address in the one spelling that tokens are kept under. Raises Usage, naming its source."""
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        usable = parts.scheme in ("http", "https") and re.fullmatch(r"[a-z0-9._:-]+", host) and (parts.port or 1)
    except ValueError:  # UnicodeError is one
        usable = False
    if not usable or re.search(r"[?#@\s\x00-\x1f]", text):
        # it may hold a password, which is no place for one
        shown = "(not shown)" if "@" in text else repr(text)
        raise UsageError(f"{source} is {shown}; expected http://HOST[:PORT] or https://HOST[:PORT]")
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{authority.lower()}{slash}{path}".rstrip("/")


def is_state(text: str) -> bool:
    """Return whether an intake service can have a state of this name; a shell is offered no other."""
    return re.fullmatch(r"[A-Z][A-Z0-9_]{0,31}", text) is not None


def is_token(text: str) -> bool:
    """Return whether the text can stand in an Authorization header (RFC 6750, section 2.1)."""
    return re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", text) is not None

"""Where the server is and who we are there: a flag, else the environment, else the last login."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from leadctl.errors import Usage

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Settings:
    """The server's address, without a last slash (None: that of the last login), and a token that was given."""

    url: str | None
    token: str | None = field(repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, url: str | None) -> "Settings":
        """Read LEADCTL_URL and LEADCTL_TOKEN; a `url` from the command line counts more. Raises Usage."""
        given, source = (url, "--url") if url else (environ.get("LEADCTL_URL"), "LEADCTL_URL")
        token = environ.get("LEADCTL_TOKEN", "").strip()
        if token and not is_token(token):
            raise Usage("LEADCTL_TOKEN holds no token")
        return cls(server_url(given, source) if given else None, token or None)


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
        raise Usage(f"{source} is {shown}; expected http://HOST[:PORT] or https://HOST[:PORT]")
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{authority.lower()}{slash}{path}".rstrip("/")


def is_token(text: str) -> bool:
    """Return whether the text can stand in an Authorization header (RFC 6750, section 2.1)."""
    return re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", text) is not None

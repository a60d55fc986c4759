"""Where the server is and who we are there: a flag, else the environment, else the last login."""

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
    debug: bool

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, url: str | None, debug: bool) -> "Settings":
        """Read LEADCTL_URL and LEADCTL_TOKEN; a `url` from the command line counts more. Raises Usage."""
        given, source = (url, "--url") if url else (environ.get("LEADCTL_URL"), "LEADCTL_URL")
        return cls(_checked(given, source) if given else None, environ.get("LEADCTL_TOKEN") or None, debug)


def _checked(url: str, source: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable or "?" in url or "#" in url:
        raise Usage(f"{source} is {url!r}; expected http://HOST[:PORT] or https://HOST[:PORT]")
    return url.rstrip("/")

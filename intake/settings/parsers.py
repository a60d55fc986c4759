"""Parsers of setting values.

Each parser raises ValueError, KeyError, IndexError or MessageError for an invalid text.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from html import escape
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

MIN_SECRET_BYTES = 32  # HS256 requires a key at least as long as its hash (RFC 7518, section 3.2)
MAX_CV_BYTES = 900 * 2**20  # SQLite limits values to 10**9 bytes, PostgreSQL to 2**30
MIN_PASSWORD_CHARACTERS = 8  # NIST SP 800-63B
MAX_PASSWORD_BYTES = 72  # the maximum of bcrypt
MAX_CONTACT_CHARACTERS = 200
RESERVED_KEYS = "subcowhnaqjk"  # those of other actions in leadctl triage
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Network = IPv4Network | IPv6Network
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class SmtpServer:
    """An SMTP relay: its address, our credentials and the protection of the connection.

    `tls` is `implicit` (smtps://), `required` or `opportunistic` (STARTTLS), or `off`.
    """

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: str


@dataclass(frozen=True)
class RateLimit:
    """A limit of `amount` requests at once, then `amount` spread over each `window_s` seconds."""

    amount: int
    unit: str
    window_s: int

    @property
    def interval_s(self) -> float:
        """The seconds in which one request becomes available again."""
        return self.window_s / self.amount


@dataclass(frozen=True)
class Mailbox:
    """An email address and its display name, which may be empty."""

    address: str
    display_name: str = ""

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True)
class Contact:
    """How to reach the organization: a text, and a URL if it can be a link. Templates in HTML show the link."""

    text: str
    url: str = ""

    def __str__(self) -> str:
        return self.text

    def __html__(self) -> str:
        text = escape(self.text)
        return f'<a href="{escape(self.url)}">{text}</a>' if self.url else text


def database_url(text: str) -> str:
    """Parse a database URL for SQLAlchemy."""
    scheme, _, rest = text.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest != "/" and not re.search(r"[?#\0]|/:memory:$", rest):
        return text
    _ = urlsplit(text).port  # raises ValueError if it is invalid
    if scheme in ("postgresql", "postgres", "postgresql+psycopg2") and rest:
        return f"postgresql+psycopg2://{rest}"
    raise ValueError


def number(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `least` to `most`."""
    return lambda text: _between(int(_match(r"\d{1,13}", text)[0]), least, most)


def secrets(text: str) -> tuple[str, ...]:
    """Parse one secret, or the new and the old one."""
    found = tuple(part.strip() for part in text.split(","))
    if len(found) > 2 or any(len(secret.encode()) < MIN_SECRET_BYTES for secret in found):
        raise ValueError
    return found


def smtp_server(text: str) -> SmtpServer:
    """Parse the URL of an SMTP relay."""
    url = urlsplit(text)
    if url.scheme not in ("smtp", "smtps") or not url.hostname or url.path not in ("", "/"):
        raise ValueError
    query = parse_qs(url.query, strict_parsing=bool(url.query), keep_blank_values=True)
    default = "opportunistic" if url.hostname in LOOPBACK else "required"
    [tls] = query.pop("starttls", [default])
    if query or tls not in ("required", "opportunistic", "off"):
        raise ValueError
    return SmtpServer(
        host=url.hostname,
        port=url.port or {"smtp": 587, "smtps": 465}[url.scheme],
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        tls="implicit" if url.scheme == "smtps" else tls,
    )


def mailbox(text: str) -> Mailbox:
    """Parse an email address with an optional display name."""
    display_name, address = parseaddr(text) if text.isprintable() else ("", "")
    # the domain may be known in the organization's network only, so it is not looked up
    Address(display_name, addr_spec=address)  # raises unless both fit into a header
    _match(r"[!#-'*+./0-9=?A-Z^-~-]+@[A-Za-z0-9.-]+", address)  # without quotes, which no mail is sent to
    if "=?" in text:  # an encoded word (RFC 2047), which is shown decoded or not at all
        raise ValueError
    return Mailbox(address=address, display_name=display_name)


def addresses(text: str) -> tuple[str, ...]:
    """Parse email addresses."""
    return tuple(dict.fromkeys(mailbox(part).address for part in _split(text)))


def byte_count(most: float = math.inf) -> Callable[[str], int]:
    """Return a parser of numbers of bytes up to `most`."""

    def parse(text: str) -> int:
        amount, unit = _match(r"([1-9]\d{0,11})\s*(|KiB|MiB|GiB)", text).groups()
        return _between(int(amount) * {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit], 1, most)

    return parse


def duration_s(least: int = 0, most: float = math.inf) -> Callable[[str], float]:
    """Return a parser of durations from `least` to `most` seconds, which returns seconds."""

    def parse(text: str) -> float:
        amount, unit = _match(r"(\d{1,6})([smhd])", "0s" if text == "0" else text).groups()
        return _between(int(amount) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[unit], least, most)

    return parse


def states(text: str) -> tuple[str, ...]:
    """Parse the states of leads."""
    found = _match_all(r"[A-Z][A-Z0-9_]{0,31}", (part.strip() for part in text.split(",")))
    if len(set(found)) != len(found):
        raise ValueError
    return found


def state_keys(text: str) -> tuple[tuple[str, str], ...]:
    """Parse keys of states: distinct states, each with a distinct letter or digit."""
    pairs = [part.partition(":") for part in _split(text)]
    found = {
        states(state.strip())[0]: _match(f"(?![{RESERVED_KEYS}])[a-z0-9]", key.strip().lower())[0]
        for state, _, key in pairs
    }
    if not len(set(found.values())) == len(found) == len(pairs):
        raise ValueError
    return tuple(found.items())


def retention_days(text: str) -> tuple[tuple[str, int], ...]:
    """Parse retention periods: states, and the days after which leads in them are erased."""
    pairs = [part.partition("=") for part in _split(text)]
    found = {states(state.strip())[0]: number(1, 36_500)(days.strip()) for state, _, days in pairs}
    if len(found) != len(pairs):
        raise ValueError
    return tuple(found.items())


def cv_store(text: str) -> str:
    """Parse the URL of a CV store, and return it without a trailing slash."""
    shape = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*|file://(/[^/?#%\\]+)+"
    url = _match(shape, text.rstrip("/"))[0]
    if not url.isprintable() or url != url.strip():
        raise ValueError
    return url


def extensions(text: str) -> tuple[str, ...]:
    """Parse file extensions, and return them in lower case without dots; empty if all are allowed."""
    if text.strip() == "*":
        return ()
    parts = text.replace(",", " ").split()
    if not parts:
        raise ValueError
    return _match_all(r"[a-z0-9]{1,16}", (part.removeprefix(".").lower() for part in parts))


def networks(text: str) -> tuple[Network, ...]:
    """Parse IP networks; a single address is a network of one."""
    return tuple(_network(part) for part in _split(text))


def _network(text: str) -> Network:
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return ip_network((mapped, network.prefixlen - 96))  # as the addresses of clients


def rate_limits(text: str) -> tuple[RateLimit, ...]:
    """Parse rate limits such as 60/minute;600/day; empty if they are off."""
    return () if text == "off" else tuple(_rate_limit(part.strip()) for part in text.split(";"))


def limits_store(text: str) -> str:
    """Parse the URL of a Redis or Valkey server."""
    url = urlsplit(text)
    if url.scheme not in ("redis", "rediss", "valkey", "valkeys") or not url.hostname or (url.port or 1) < 1:
        raise ValueError
    return text


def clamd(text: str) -> str:
    """Parse the URL of a clamd socket: unix:///PATH or tcp://HOST:PORT."""
    url = urlsplit(text)
    is_unix = url.scheme == "unix" and not url.netloc and url.path.startswith("/")
    is_tcp = url.scheme == "tcp" and url.hostname and url.port and not url.path
    if not (is_unix or is_tcp) or url.query or url.fragment:
        raise ValueError
    return text


def origins(text: str) -> tuple[str, ...]:
    """Parse web origins (RFC 6454), and return them in the form that browsers send."""
    parts = text.replace(",", " ").split()
    return _match_all(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?", (part.lower().rstrip("/") for part in parts))


def hosts(text: str) -> tuple[str, ...]:
    """Parse host names and addresses; a name may begin with `*.`."""
    return _match_all(r"(\*\.)?[a-z0-9.-]+|\[[0-9a-f:]+\]", (part.lower() for part in _split(text)))


def page_url(text: str) -> str:
    """Parse the target of a redirect: an http or https URL, or a path."""
    url = urlsplit(_match(r"[!-~]+", text)[0])
    is_absolute = url.scheme in ("http", "https") and url.hostname
    if not (is_absolute or re.match(r"/(?![/\\])", text)):
        raise ValueError
    return text


def website(text: str) -> str:
    """Parse the http or https URL of a website, without credentials."""
    url = urlsplit(_match(r"[!-~]+", text)[0])
    _ = url.port  # raises ValueError if it is invalid
    if url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc:
        raise ValueError
    return text


def contact(text: str) -> Contact:
    """Parse how to reach the organization: one line of text, or a `tel:` or `mailto:` URL."""
    line = text.strip()
    if not line or len(line) > MAX_CONTACT_CHARACTERS or not line.isprintable():
        raise ValueError
    if not line.startswith(("tel:", "mailto:")):
        return Contact(line)
    link = _match(r"tel:(\+?[0-9][0-9 ().-]+)|mailto:([\w.+-]+@[\w.-]+)", line)
    return Contact(link[1] or link[2], line.replace(" ", ""))


def one_of(choices: Iterable[str]) -> Callable[[str], str]:
    """Return a parser that accepts only these texts."""
    return {choice: choice for choice in choices}.__getitem__


def directory(text: str) -> Path:
    """Parse the path of an existing directory."""
    path = Path(text)
    if not path.is_dir():
        raise ValueError
    return path


def file(text: str) -> Path:
    """Parse the path of an existing file."""
    path = Path(text)
    if not path.is_file():
        raise ValueError
    return path


def host(text: str) -> str:
    """Parse a host name or an address to listen on."""
    return _match(r"[A-Za-z0-9.:_-]+", text)[0]


def _rate_limit(text: str) -> RateLimit:
    amount, unit = _match(r"([1-9]\d{0,8})/([a-z]+)", text).groups()
    return RateLimit(int(amount), unit, {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[unit])


def _match(pattern: str, text: str) -> re.Match[str]:
    if (match := re.fullmatch(pattern, text, re.ASCII)) is None:
        raise ValueError
    return match


def _match_all(pattern: str, parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(_match(pattern, part)[0] for part in parts)


def _between(value: Number, least: float, most: float) -> Number:
    if not least <= value <= most:
        raise ValueError
    return value


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]

"""Parsers of setting values.

Each parser raises ValueError, KeyError, IndexError or MessageError for an invalid text.
"""

import re
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

MIN_SECRET_BYTES = 32  # HS256 requires a key at least as long as its hash (RFC 7518, section 3.2)
MAX_CV_BYTES = 900 * 2**20  # SQLite limits values to 10**9 bytes, PostgreSQL to 2**30
MIN_PASSWORD_CHARACTERS = 8  # NIST SP 800-63B
MAX_PASSWORD_BYTES = 72  # the maximum of bcrypt
MAX_CONTACT_CHARACTERS = 200
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Network = IPv4Network | IPv6Network


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


def database_url(text: str) -> str:
    """Parse a database URL for SQLAlchemy."""
    scheme, _, rest = text.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest != "/" and not re.search(r"[?#\0]|/:memory:$", rest):
        return text
    _ = urlsplit(text).port  # raises ValueError if it is invalid
    if scheme in ("postgresql", "postgres", "postgresql+psycopg2") and rest:
        return f"postgresql+psycopg2://{rest}"
    raise ValueError


def port(text: str) -> int:
    """Parse a TCP port; 0 means any free port."""
    return _number(text, least=0, most=65535)


def count(text: str) -> int:
    """Parse a maximum number."""
    return _number(text, least=1, most=100_000)


def hourly_cap(text: str) -> int:
    """Parse an hourly cap; 0 means no cap."""
    return _number(text, least=0, most=100_000)


def password_length(text: str) -> int:
    """Parse the minimum length of passwords, in characters."""
    return _number(text, least=MIN_PASSWORD_CHARACTERS, most=MAX_PASSWORD_BYTES)


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
    if not re.fullmatch(r"[!-?A-~]+@[A-Za-z0-9.-]+", address):
        raise ValueError
    return Mailbox(address=address, display_name=display_name)


def addresses(text: str) -> tuple[str, ...]:
    """Parse email addresses."""
    return tuple(dict.fromkeys(mailbox(part).address for part in _split(text)))


def byte_count(text: str) -> int:
    """Parse a number of bytes."""
    if (match := re.fullmatch(r"([1-9]\d{0,11})\s*(|KiB|MiB|GiB)", text, re.ASCII)) is None:
        raise ValueError
    return int(match[1]) * {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[match[2]]


def cv_bytes(text: str) -> int:
    """Parse the maximum size of a CV, in bytes."""
    if (size := byte_count(text)) > MAX_CV_BYTES:
        raise ValueError
    return size


def interval_s(text: str) -> float:
    """Parse a duration, and return it in seconds."""
    if (match := re.fullmatch(r"(\d{1,6})([smhd])|0", text, re.ASCII)) is None:
        raise ValueError
    return int(match[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[match[2]] if match[1] else 0.0


def time_limit_s(text: str) -> float:
    """Parse a duration other than 0, and return it in seconds."""
    if not (seconds := interval_s(text)):
        raise ValueError
    return seconds


def shutdown_grace_s(text: str) -> float:
    """Parse the duration of a shutdown, and return it in seconds."""
    if not 5 <= (seconds := interval_s(text)) <= 600:
        raise ValueError
    return seconds


def states(text: str) -> tuple[str, ...]:
    """Parse the states of leads."""
    found = tuple(part.strip() for part in text.split(","))
    if len(set(found)) != len(found) or not all(re.fullmatch(r"[A-Z][A-Z0-9_]{0,31}", state) for state in found):
        raise ValueError
    return found


def retention_days(text: str) -> tuple[tuple[str, int], ...]:
    """Parse retention periods: states, and the days after which leads in them are erased."""
    pairs = [part.partition("=") for part in _split(text)]
    found = {states(state.strip())[0]: _number(days.strip(), least=1, most=36_500) for state, _, days in pairs}
    if len(found) != len(pairs):
        raise ValueError
    return tuple(found.items())


def cv_store(text: str) -> str:
    """Parse the URL of a CV store, and return it without a trailing slash."""
    url = text.rstrip("/")
    shape = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*|file://(/[^/?#%\\]+)+"
    if not re.fullmatch(shape, url) or not url.isprintable() or url != url.strip():
        raise ValueError
    return url


def extensions(text: str) -> tuple[str, ...]:
    """Parse file extensions, and return them in lower case without dots; empty if all are allowed."""
    if text.strip() == "*":
        return ()
    found = tuple(part.removeprefix(".").lower() for part in text.replace(",", " ").split())
    if not found or not all(re.fullmatch(r"[a-z0-9]{1,16}", extension) for extension in found):
        raise ValueError
    return found


def networks(text: str) -> tuple[Network, ...]:
    """Parse IP networks; a single address is a network of one."""
    return tuple(ip_network(part) for part in _split(text))


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
    found = tuple(part.lower().rstrip("/") for part in text.replace(",", " ").split())
    if not all(re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?", origin) for origin in found):
        raise ValueError
    return found


def hosts(text: str) -> tuple[str, ...]:
    """Parse host names and addresses; a name may begin with `*.`."""
    found = tuple(part.lower() for part in _split(text))
    if not all(re.fullmatch(r"(\*\.)?[a-z0-9.-]+|\[[0-9a-f:]+\]", host) for host in found):
        raise ValueError
    return found


def page_url(text: str) -> str:
    """Parse the target of a redirect: an http or https URL, or a path."""
    url = urlsplit(text)
    is_absolute = url.scheme in ("http", "https") and url.hostname
    if not (is_absolute or re.match(r"/(?![/\\])", text)) or not re.fullmatch(r"[!-~]+", text):
        raise ValueError
    return text


def website(text: str) -> str:
    """Parse the http or https URL of a website, without credentials."""
    url = urlsplit(text)
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or "@" in url.netloc
        or not re.fullmatch(r"[!-~]+", text)
    ):
        raise ValueError
    _ = url.port  # raises ValueError if it is invalid
    return text


def contact(text: str) -> str:
    """Parse how to reach the organization: one line, such as a telephone number and an email address."""
    line = text.strip()
    if not line or len(line) > MAX_CONTACT_CHARACTERS or not line.isprintable():
        raise ValueError
    return line


def flag(text: str) -> bool:
    """Parse a boolean: 0 or 1."""
    return {"0": False, "1": True}[text]


def directory(text: str) -> Path:
    """Parse the path of an existing directory."""
    path = Path(text)
    if not path.is_dir():
        raise ValueError
    return path


def host(text: str) -> str:
    """Parse a host name or an address to listen on."""
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", text):
        raise ValueError
    return text


def _rate_limit(text: str) -> RateLimit:
    if not re.fullmatch(r"[1-9]\d{0,8}/[a-z]+", text, re.ASCII):
        raise ValueError
    amount, _, unit = text.partition("/")
    return RateLimit(int(amount), unit, {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[unit])


def _number(text: str, *, least: int, most: int) -> int:
    if re.fullmatch(r"\d{1,9}", text, re.ASCII) and least <= int(text) <= most:
        return int(text)
    raise ValueError


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]

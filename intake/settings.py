"""Settings from the environment and a `.env` file: read once, checked whole, then frozen."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dotenv import dotenv_values

from intake.errors import SettingsInvalid

MIN_SECRET_BYTES = 32  # HS256 takes a key at least as long as its hash (RFC 7518, section 3.2)
MAX_CV_BYTES = 900 * 2**20  # SQLite's values end at 10**9 bytes, PostgreSQL's at 2**30
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class SmtpServer:
    """A relay: where it is, who we are there, and how the connection is protected.

    `tls` is `implicit` (smtps://), `required` or `opportunistic` (STARTTLS), or `off`.
    """

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: str


@dataclass(frozen=True)
class Mailbox:
    """An address, with the name that is shown beside it (empty: none)."""

    address: str
    display_name: str = ""

    @property
    def domain(self) -> str:
        """What stands behind the address's @."""
        return self.address.rpartition("@")[2]


def _database_url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest != "/" and not re.search(r"[?#\0]|/:memory:$", rest):
        return text
    _ = urlsplit(text).port  # raises where it is none
    if scheme in ("postgresql", "postgres", "postgresql+psycopg2") and rest:
        return f"postgresql+psycopg2://{rest}"
    raise ValueError


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise ValueError


def _secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(part.strip() for part in text.split(","))
    if len(secrets) > 2 or any(len(secret.encode()) < MIN_SECRET_BYTES for secret in secrets):
        raise ValueError
    return secrets


def _smtp_server(text: str) -> SmtpServer:
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


def _mailbox(text: str) -> Mailbox:
    display_name, address = parseaddr(text) if text.isprintable() else ("", "")
    # a firm's own address may be in a domain that only its network knows
    Address(display_name, addr_spec=address)  # what it takes can stand in a header
    if not re.fullmatch(r"[!-?A-~]+@[A-Za-z0-9.-]+", address):
        raise ValueError
    return Mailbox(address=address, display_name=display_name)


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_mailbox(part.strip()).address for part in text.split(",") if part.strip()))


def _byte_count(text: str) -> int:
    if (match := re.fullmatch(r"([1-9]\d{0,11})\s*(|KiB|MiB)", text, re.ASCII)) is None:
        raise ValueError
    if (count := int(match[1]) * {"": 1, "KiB": 2**10, "MiB": 2**20}[match[2]]) > MAX_CV_BYTES:
        raise ValueError
    return count


def _interval_s(text: str) -> float:
    if (match := re.fullmatch(r"(\d{1,6})([smhd])|0", text, re.ASCII)) is None:
        raise ValueError
    return int(match[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[match[2]] if match[1] else 0.0


def _states(text: str) -> tuple[str, ...]:
    states = tuple(part.strip() for part in text.split(","))
    if len(set(states)) != len(states) or not all(re.fullmatch(r"[A-Z][A-Z0-9_]{0,31}", s) for s in states):
        raise ValueError
    return states


def _cv_store(text: str) -> str:
    url = text.rstrip("/")
    shape = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*|file://(/[^/?#%\\]+)+"
    if not re.fullmatch(shape, url) or not url.isprintable() or url != url.strip():
        raise ValueError
    return url


def _flag(text: str) -> bool:
    return {"0": False, "1": True}[text]


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError
    return path


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", text):
        raise ValueError
    return text


def _setting(name: str, default: Any, parse: Callable[[str], Any], expected: str, *, secret: bool = False) -> Any:
    return field(
        default=default,
        repr=not secret,
        metadata={"name": name, "parse": parse, "expected": expected, "secret": secret},
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of the service; a field's metadata holds its environment variable and what it expects."""

    database_url: str = _setting(
        "INTAKE_DATABASE_URL",
        "sqlite:///intake.db",
        _database_url,
        "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
        secret=True,
    )
    host: str = _setting("INTAKE_HOST", "127.0.0.1", _host, "a host name or an address to listen on")
    port: int = _setting("INTAKE_PORT", 8000, _port, "a TCP port from 0 (any free one) to 65535")
    jwt_secrets: tuple[str, ...] = _setting(
        "INTAKE_JWT_SECRET",
        (),
        _secrets,
        f"one secret of at least {MIN_SECRET_BYTES} bytes, or two (new,old) during a rotation",
        secret=True,
    )
    smtp_server: SmtpServer | None = _setting(
        "INTAKE_SMTP_URL",
        None,
        _smtp_server,
        "smtp://[USER:PASSWORD@]HOST[:PORT][?starttls=required|opportunistic|off] or smtps://…",
        secret=True,
    )
    mail_from: Mailbox = _setting(
        "INTAKE_MAIL_FROM", Mailbox("intake@localhost"), _mailbox, "an address, or NAME <ADDRESS>"
    )
    attorney_emails: tuple[str, ...] = _setting(
        "INTAKE_ATTORNEY_EMAILS", (), _addresses, "email addresses, separated by commas"
    )
    confirmation_interval_s: float = _setting(
        "INTAKE_CONFIRMATION_INTERVAL", 24 * 3600.0, _interval_s, "a time such as 30s, 10m, 24h or 7d, or 0"
    )
    alert_interval_s: float = _setting(
        "INTAKE_ALERT_INTERVAL", 60.0, _interval_s, "a time such as 30s, 10m, 24h or 7d, or 0"
    )
    mail_retention_s: float = _setting(
        "INTAKE_MAIL_RETENTION", 90 * 86400.0, _interval_s, "a time such as 30s, 10m, 24h or 7d, or 0"
    )
    mail_templates: Path | None = _setting(
        "INTAKE_MAIL_TEMPLATES", None, _directory, "a directory that exists, with the templates to replace"
    )
    max_cv_bytes: int = _setting(
        "INTAKE_MAX_CV_BYTES", 10 * 2**20, _byte_count, "a number of bytes, or one with KiB or MiB, up to 900 MiB"
    )
    cv_store: str | None = _setting("INTAKE_CV_STORE", None, _cv_store, "file:///DIRECTORY or s3://BUCKET[/PREFIX]")
    states: tuple[str, ...] = _setting(
        "INTAKE_STATES",
        ("PENDING", "REACHED_OUT", "ENGAGED", "DECLINED"),
        _states,
        "different names of A-Z, 0-9 and _, separated by commas, the first one where leads begin",
    )
    open_registration: bool = _setting("INTAKE_OPEN_REGISTRATION", False, _flag, "0 or 1")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, serving: bool = False) -> "Settings":
        """Read the settings; an empty value counts as none. `serving` needs more of them than other work.

        Raises SettingsInvalid with a line for each value that can't be used.
        """
        values, faults = {}, []
        for item in fields(cls):
            if text := environ.get(item.metadata["name"]):
                try:
                    values[item.name] = item.metadata["parse"](text)
                except (ValueError, KeyError, IndexError, MessageError):
                    faults.append(_fault(item.metadata, text))
        settings = cls(**values)
        if serving and settings.sqlite_file is None and not environ.get("INTAKE_JWT_SECRET"):
            faults.append("INTAKE_JWT_SECRET is not set; with PostgreSQL it must be: try `openssl rand -hex 32`")
        if faults:
            raise SettingsInvalid(faults)
        return settings

    @property
    def sqlite_file(self) -> Path | None:
        """The embedded database's file, or None where the database is PostgreSQL."""
        scheme, _, path = self.database_url.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    def beside_database(self, suffix: str) -> Path:
        """Return the path of what is kept beside the database's file: its name with `suffix` behind it."""
        file = self.sqlite_file or Path("intake.db")
        return file.with_name(file.name + suffix)


def read_environment(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return `environ`, and what `.env` in the directory adds to it. Raises SettingsInvalid."""
    try:
        kept = dotenv_values(directory / ".env", encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid([f".env can't be read: {error}"]) from error
    return {**{name: value or "" for name, value in kept.items()}, **environ}


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """Return the names in `environ` that look like settings of this service and are none."""
    known = {item.metadata["name"] for item in fields(Settings)}
    return sorted(name for name in environ if name.startswith("INTAKE_") and name not in known)


def _fault(metadata: Mapping[str, Any], text: str) -> str:
    shown = "(not shown)" if metadata["secret"] else repr(text)
    return f"{metadata['name']} is {shown}; expected {metadata['expected']}"

"""Settings, read once from the environment and the file `.env`, validated together and then immutable."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from email.errors import MessageError
from pathlib import Path
from typing import Any
from unicodedata import category

from dotenv.parser import Original, parse_stream

from intake import logs
from intake.cv_text import sandbox
from intake.errors import SettingsInvalid
from intake.settings import parsers
from intake.settings.parsers import Contact, Mailbox, Network, RateLimit, SmtpServer
from intake.settings.trusted_files import ownership_fault

# parsers that several settings share, and the values that they accept
_DURATION = parsers.duration_s(least=1), "a duration such as 30s, 10m, 24h or 7d"
_DURATION_OR_0 = parsers.duration_s(), f"{_DURATION[1]}, or 0"
_PORT = parsers.number(0, 65535), "a TCP port from 0 (any free port) to 65535"
_COUNT = parsers.number(1, 100_000), "a number from 1 to 100000"
_FLAG = {"0": False, "1": True}.__getitem__, "0 or 1"
_NETWORKS = (
    parsers.networks,
    "IP addresses or networks such as 10.0.0.1, 10.1.0.0/16 or 2001:db8::/48, separated by commas",
)
_ORIGINS = parsers.origins, "origins such as https://www.example, separated by commas or spaces"
_EXTENSIONS = ("pdf", "doc", "docx", "odt", "rtf", "txt", "md", "html", "png", "jpg", "jpeg", "tif", "tiff")


def _setting(name: str, default: Any, parse: Callable[[str], Any], expected: str, *, secret: bool = False) -> Any:
    return field(
        default=default,
        repr=not secret,
        metadata={"name": name, "parse": parse, "expected": expected, "secret": secret},
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of the service; the metadata of a field names its environment variable and the expected values."""

    database_url: str = _setting(
        "INTAKE_DATABASE_URL",
        "sqlite:///intake.db",
        parsers.database_url,
        "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
        secret=True,
    )
    host: str = _setting("INTAKE_HOST", "127.0.0.1", parsers.host, "a host name or an address to listen on")
    port: int = _setting("INTAKE_PORT", 8000, *_PORT)
    metrics_port: int | None = _setting("INTAKE_METRICS_PORT", None, *_PORT)
    log_format: str = _setting("INTAKE_LOG", logs.TEXT, parsers.one_of(logs.FORMATS), " or ".join(logs.FORMATS))
    processes: int = _setting("INTAKE_PROCESSES", 1, parsers.number(1, 64), "a number from 1 to 64")
    jwt_secrets: tuple[str, ...] = _setting(
        "INTAKE_JWT_SECRET",
        (),
        parsers.secrets,
        f"one secret of at least {parsers.MIN_SECRET_BYTES} bytes, or two (new,old) during a rotation",
        secret=True,
    )
    smtp_server: SmtpServer | None = _setting(
        "INTAKE_SMTP_URL",
        None,
        parsers.smtp_server,
        "smtp://[USER:PASSWORD@]HOST[:PORT][?starttls=required|opportunistic|off] or smtps://…",
        secret=True,
    )
    mail_from: Mailbox = _setting(
        "INTAKE_MAIL_FROM", Mailbox("intake@localhost"), parsers.mailbox, "an address, or NAME <ADDRESS>"
    )
    firm_url: str | None = _setting(
        "INTAKE_FIRM_URL", None, parsers.website, "the http or https URL of the organization's website"
    )
    firm_contact: Contact | None = _setting(
        "INTAKE_FIRM_CONTACT",
        None,
        parsers.contact,
        f"one line of up to {parsers.MAX_CONTACT_CHARACTERS} printable characters, such as 020 7946 0000;"
        " or a link, such as tel:+44-20-7946-0000 or mailto:office@firm.example",
    )
    attorney_emails: tuple[str, ...] = _setting(
        "INTAKE_ATTORNEY_EMAILS", (), parsers.addresses, "email addresses, separated by commas"
    )
    confirmation_interval_s: float = _setting("INTAKE_CONFIRMATION_INTERVAL", 24 * 3600.0, *_DURATION_OR_0)
    confirmations_per_hour: int = _setting(
        "INTAKE_CONFIRMATIONS_PER_HOUR", 1000, parsers.number(0, 100_000), "a number from 0 (no caps) to 100000"
    )
    alert_interval_s: float = _setting("INTAKE_ALERT_INTERVAL", 60.0, *_DURATION_OR_0)
    alert_reply_to: bool = _setting("INTAKE_ALERT_REPLY_TO", True, *_FLAG)
    mail_retention_s: float = _setting("INTAKE_MAIL_RETENTION", 90 * 86400.0, *_DURATION_OR_0)
    mail_templates: Path | None = _setting(
        "INTAKE_MAIL_TEMPLATES", None, parsers.directory, "an existing directory with the templates to replace"
    )
    max_cv_bytes: int = _setting(
        "INTAKE_MAX_CV_BYTES",
        10 * 2**20,
        parsers.byte_count(parsers.MAX_CV_BYTES),
        "a number of bytes, optionally with KiB or MiB, up to 900 MiB",
    )
    cv_extensions: tuple[str, ...] = _setting(
        "INTAKE_CV_EXTENSIONS", _EXTENSIONS, parsers.extensions, "file extensions such as pdf docx, or *"
    )
    clamd: str | None = _setting("INTAKE_CLAMD", None, parsers.clamd, "unix:///PATH or tcp://HOST:PORT")
    cv_text: bool = _setting("INTAKE_CV_TEXT", True, {"on": True, "off": False}.__getitem__, "on or off")
    cv_sandbox: str = _setting(
        "INTAKE_CV_SANDBOX",
        sandbox.REQUIRED if sys.platform == "linux" else sandbox.BEST_EFFORT,
        parsers.one_of(sandbox.MODES),
        " or ".join(sandbox.MODES),
    )
    cv_store: str | None = _setting(
        "INTAKE_CV_STORE", None, parsers.cv_store, "file:///DIRECTORY or s3://BUCKET[/PREFIX]"
    )
    failover_gap: int = _setting(
        "INTAKE_FAILOVER_GAP", 1_000_000, parsers.number(0, 10**12), "a number from 0 to 1000000000000"
    )
    states: tuple[str, ...] = _setting(
        "INTAKE_STATES",
        ("PENDING", "REACHED_OUT", "ENGAGED", "DECLINED"),
        parsers.states,
        "distinct names of A-Z, 0-9 and _, separated by commas; new leads are in the first",
    )
    state_keys: tuple[tuple[str, str], ...] = _setting(
        "INTAKE_STATE_KEYS",
        (),
        parsers.state_keys,
        "STATE:KEY for one or more states, separated by commas, such as REVIEW:v; each key is a different letter or"
        f" digit, and none of {' '.join(parsers.RESERVED_KEYS)}",
    )
    retention_days: tuple[tuple[str, int], ...] = _setting(
        "INTAKE_RETENTION_DAYS",
        (),
        parsers.retention_days,
        "STATE=DAYS for one or more states, separated by commas",
    )
    open_registration: bool = _setting("INTAKE_OPEN_REGISTRATION", False, *_FLAG)
    min_password_characters: int = _setting(
        "INTAKE_MIN_PASSWORD_LENGTH",
        parsers.MIN_PASSWORD_CHARACTERS,
        parsers.number(parsers.MIN_PASSWORD_CHARACTERS, parsers.MAX_PASSWORD_BYTES),
        f"a number of characters from {parsers.MIN_PASSWORD_CHARACTERS} to {parsers.MAX_PASSWORD_BYTES}",
    )
    trusted_proxies: tuple[Network, ...] = _setting("INTAKE_TRUSTED_PROXIES", (), *_NETWORKS)
    rate_limits: tuple[RateLimit, ...] = _setting(
        "INTAKE_RATE_LIMIT",
        parsers.rate_limits("60/minute;600/day"),
        parsers.rate_limits,
        "limits such as 60/minute;600/day (per second, minute, hour or day), or off",
    )
    rate_limit_exempt: tuple[Network, ...] = _setting("INTAKE_RATE_LIMIT_EXEMPT", (), *_NETWORKS)
    limits_store: str | None = _setting(
        "INTAKE_LIMITS_STORE",
        None,
        parsers.limits_store,
        "redis://HOST[:PORT][/DATABASE], rediss://…, valkey://… or valkeys://…",
        secret=True,
    )
    max_uploads: int = _setting("INTAKE_MAX_UPLOADS", 32, *_COUNT)
    max_spool_bytes: int = _setting(
        "INTAKE_MAX_SPOOL_BYTES", 2**30, parsers.byte_count(), "a number of bytes, optionally with KiB, MiB or GiB"
    )
    max_connections: int = _setting("INTAKE_MAX_CONNECTIONS", 1000, *_COUNT)
    header_timeout_s: float = _setting("INTAKE_HEADER_TIMEOUT", 10.0, *_DURATION)
    body_timeout_s: float = _setting("INTAKE_BODY_TIMEOUT", 300.0, *_DURATION)
    min_body_rate: int = _setting(
        "INTAKE_MIN_BODY_RATE",
        2**10,
        parsers.byte_count(),
        "a number of bytes per second, optionally with KiB, MiB or GiB",
    )
    drain_s: float = _setting("INTAKE_DRAIN", 0.0, parsers.duration_s(least=0, most=600), "a duration from 0s to 10m")
    shutdown_grace_s: float = _setting(
        "INTAKE_SHUTDOWN_GRACE", 25.0, parsers.duration_s(least=5, most=600), "a duration from 5s to 10m"
    )
    allowed_hosts: tuple[str, ...] = _setting(
        "INTAKE_ALLOWED_HOSTS", (), parsers.hosts, "host names such as intake.example or *.example, separated by commas"
    )
    cors_origins: tuple[str, ...] = _setting("INTAKE_CORS_ORIGINS", (), *_ORIGINS)
    form: Path | None = _setting("INTAKE_FORM", None, parsers.file, "an existing TOML file that defines the form")
    form_only: bool = _setting("INTAKE_FORM_ONLY", False, *_FLAG)
    form_thanks_url: str | None = _setting(
        "INTAKE_FORM_THANKS_URL", None, parsers.page_url, "a URL with http:// or https://, or a path from /"
    )
    form_frame_ancestors: tuple[str, ...] = _setting("INTAKE_FORM_FRAME_ANCESTORS", (), *_ORIGINS)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, serving: bool = False) -> "Settings":
        """Parse the settings; an empty value counts as not set. `serving` requires the secrets of tokens.

        Raises SettingsInvalid with one line for each error.
        """
        given, faults = {}, []
        for item in fields(cls):
            if text := environ.get(item.metadata["name"]):
                try:
                    if any(category(character) == "Cc" for character in text):
                        raise ValueError("control characters")
                    given[item.name] = item.metadata["parse"](text)
                except (ValueError, KeyError, IndexError, MessageError):
                    faults.append(_fault(item.metadata, text))
        settings = cls(**given)
        if serving and settings.sqlite_file is None and not environ.get("INTAKE_JWT_SECRET"):
            faults.append(
                "INTAKE_JWT_SECRET is not set; PostgreSQL requires it: use the output of `openssl rand -hex 32`"
            )
        if not faults:  # compares settings, so that each must be valid
            named = {"INTAKE_STATE_KEYS": settings.state_keys, "INTAKE_RETENTION_DAYS": settings.retention_days}
            faults += [
                f"{name} names {state}, which is not one of the states: {', '.join(settings.states)}"
                for name, pairs in named.items()
                for state, _ in pairs
                if state not in settings.states
            ]
        if faults:
            raise SettingsInvalid(faults)
        return settings

    @property
    def connections_of_client(self) -> int:
        """The maximum number of simultaneous connections, or requests through trusted proxies, of one client."""
        return max(1, self.max_connections // 10)

    @property
    def unbounded_clients(self) -> tuple[Network, ...]:
        """The networks without this limit: trusted proxies, which serve many clients, and rate_limit_exempt."""
        return (*self.trusted_proxies, *self.rate_limit_exempt)

    def shared(self) -> "Settings":
        """Return the settings of one of several processes: its share of the limits, each at least 1."""
        limits = tuple(replace(limit, amount=self._share(limit.amount)) for limit in self.rate_limits)
        return replace(
            self,
            rate_limits=self.rate_limits if self.limits_store else limits,
            max_uploads=self._share(self.max_uploads),
            max_spool_bytes=self._share(self.max_spool_bytes),
            max_connections=self._share(self.max_connections),
        )

    def _share(self, amount: int) -> int:
        return max(amount // self.processes, 1)

    @property
    def sqlite_file(self) -> Path | None:
        """The file of a SQLite database, or None for PostgreSQL."""
        scheme, _, path = self.database_url.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    def beside_database(self, suffix: str) -> Path:
        """Return the path of a file beside the database: its name followed by `suffix`."""
        file = self.sqlite_file or Path("intake.db")
        return file.with_name(file.name + suffix)


def read_environment(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return `environ` merged with `.env` in the directory; `environ` wins. Raises SettingsInvalid."""
    file = directory / ".env"
    try:
        stored = _read_file(file) if file.exists() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid([f".env can't be read: {error}"]) from error
    return {**stored, **environ}


def _read_file(file: Path) -> dict[str, str]:
    """Return the settings in a file. Raises SettingsInvalid for lines that set nothing, OSError or UnicodeError."""
    if not file.is_file():
        raise SettingsInvalid([".env is not a file"])
    if fault := ownership_fault(file):
        raise SettingsInvalid([fault])
    with file.open(encoding="utf-8") as stream:
        bindings = [one for one in parse_stream(stream) if one.error or one.key is not None]
    invalid = [one.original for one in bindings if one.error or one.value is None or not _is_clear(one.key, one.value)]
    if invalid:
        raise SettingsInvalid([f".env, line {_line(one)}: expected INTAKE_NAME=value on one line" for one in invalid])
    return {str(one.key): str(one.value) for one in bindings}


def _is_clear(name: str | None, value: str) -> bool:
    """Return whether a setting has its exact name, and is on one line; a quotation mark may not have been closed."""
    is_named = "INTAKE_" not in str(name).upper() or str(name).startswith("INTAKE_")
    return is_named and not ("\n" in value and "INTAKE_" in f"{name}{value}")


def _line(original: Original) -> int:
    text = original.string
    return original.line + text[: len(text) - len(text.lstrip())].count("\n")


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """Return the names in `environ` that begin with INTAKE_ but are not settings."""
    known = {item.metadata["name"] for item in fields(Settings)}
    return sorted(name for name in environ if name.startswith("INTAKE_") and name not in known)


def _fault(metadata: Mapping[str, Any], text: str) -> str:
    may_have_password = "://" in text and "@" in text
    shown = "(not shown)" if metadata["secret"] or may_have_password else repr(text)
    return f"{metadata['name']} is {shown}; expected {metadata['expected']}"

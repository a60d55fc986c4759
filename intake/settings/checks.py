"""What of the settings is weak for a service that strangers reach, and what to do about it."""

import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from intake.settings import Settings
from intake.settings.parsers import LOOPBACK

MIN_DISTINCT_CHARACTERS = 10  # 32 random bytes have more, in hexadecimal, too
ENCRYPTED = ("require", "verify-ca", "verify-full")  # libpq's sslmode


def run_checks(settings: Settings, directory: Path) -> list[str]:
    """Return a line for each weak setting: what it is, what can come of it, and what to do.

    `directory` is the one whose `.env` was read.
    """
    return [
        *_secrets(settings),
        *_network(settings),
        *_mail(settings),
        *_database(settings),
        *_files(settings, directory),
    ]


def _secrets(settings: Settings) -> Iterator[str]:
    if any(len(set(secret)) < MIN_DISTINCT_CHARACTERS for secret in settings.jwt_secrets):
        yield "INTAKE_JWT_SECRET can be guessed, and anyone then sign tokens: set what `openssl rand -hex 32` prints"
    if settings.open_registration:
        yield (
            "INTAKE_OPEN_REGISTRATION is 1, so anyone who reaches the service can read every lead:"
            " unset it, and make users with leadctl register-user"
        )


def _network(settings: Settings) -> Iterator[str]:
    if settings.host not in LOOPBACK:
        if not settings.trusted_proxies:
            yield (
                f"INTAKE_HOST is {settings.host} and INTAKE_TRUSTED_PROXIES is not set: passwords and CVs travel in"
                " plain HTTP, and behind a proxy all clients count as one: put a proxy with TLS in front, and name it"
            )
        if not settings.allowed_hosts:
            yield "INTAKE_ALLOWED_HOSTS is not set: name the hosts that requests may be for, against DNS rebinding"
    if not settings.rate_limits:
        yield "INTAKE_RATE_LIMIT is off: one client can fill the database; set it, and spare your own with …_EXEMPT"
    if not settings.cv_extensions:
        yield "INTAKE_CV_EXTENSIONS is *: attorneys get files of any kind from strangers; name the ones that you read"
    for origin in settings.cors_origins:
        if origin.startswith("http://") and urlsplit(origin).hostname not in LOOPBACK:
            yield f"INTAKE_CORS_ORIGINS has {origin}, a page that can be changed on its way: use https"


def _mail(settings: Settings) -> Iterator[str]:
    server = settings.smtp_server
    if server is None:
        yield "INTAKE_SMTP_URL is not set: mails are written to a Maildir, and nobody gets them"
    elif server.host not in LOOPBACK and server.tls not in ("implicit", "required"):
        yield f"INTAKE_SMTP_URL has starttls={server.tls}: mails and passwords can be read on the way: use required"
    if settings.mail_from.domain == "localhost":
        yield f"INTAKE_MAIL_FROM is {settings.mail_from.address}: no relay takes it, and nobody can answer it"
    if not settings.attorney_emails:
        yield "INTAKE_ATTORNEY_EMAILS is not set: nobody is told of new leads"
    if not settings.confirmations_per_hour:
        yield "INTAKE_CONFIRMATIONS_PER_HOUR is 0: one client can have mailboxes flooded in your name; set a cap"


def _database(settings: Settings) -> Iterator[str]:
    if settings.sqlite_file is not None:
        return
    url = urlsplit(settings.database_url)
    query = parse_qs(url.query)
    host = query.get("host", [url.hostname or ""])[0]
    if host and host not in LOOPBACK and not host.startswith("/") and query.get("sslmode", [""])[-1] not in ENCRYPTED:
        yield f"INTAKE_DATABASE_URL reaches {host} perhaps without TLS: add ?sslmode=verify-full (or require)"


def _files(settings: Settings, directory: Path) -> Iterator[str]:
    kept = [directory / ".env"]
    if settings.sqlite_file is not None:
        kept += [settings.sqlite_file, settings.beside_database(".secret"), settings.beside_database(".maildir")]
    if settings.cv_store and settings.cv_store.startswith("file://"):
        kept.append(Path(settings.cv_store.removeprefix("file://")))
    for path in kept:
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield f"{path} is open to other users of this machine: chmod {'700' if path.is_dir() else '600'} {path}"

"""Deployment checks for insecure settings."""

import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from intake.cv_text import sandbox
from intake.settings import Settings
from intake.settings.parsers import LOOPBACK

MIN_DISTINCT_CHARACTERS = 10  # 32 random bytes have more, even in hexadecimal
ENCRYPTED = ("require", "verify-ca", "verify-full")  # libpq's sslmode


def run_checks(settings: Settings, directory: Path) -> list[str]:
    """Return a line for each insecure setting: the setting, the risk and the remedy.

    `directory` is the directory of the `.env` file.
    """
    return [
        *_secrets(settings),
        *_network(settings),
        *_processes(settings),
        *_mail(settings),
        *_database(settings),
        *_files(settings, directory),
        *_sandbox(settings),
    ]


def _secrets(settings: Settings) -> Iterator[str]:
    if any(len(set(secret)) < MIN_DISTINCT_CHARACTERS for secret in settings.jwt_secrets):
        yield "INTAKE_JWT_SECRET can be guessed, so anyone can sign tokens: use the output of `openssl rand -hex 32`"
    if settings.open_registration:
        yield (
            "INTAKE_OPEN_REGISTRATION is 1, so anyone who reaches the service can read every lead:"
            " unset it, and create users with leadctl register-user"
        )


def _network(settings: Settings) -> Iterator[str]:
    if settings.host not in LOOPBACK:
        if not settings.trusted_proxies:
            yield (
                f"INTAKE_HOST is {settings.host} and INTAKE_TRUSTED_PROXIES is not set: passwords and CVs are sent"
                " over plain HTTP, and all clients of a proxy count as one: add a TLS proxy, and set its address"
            )
        if not settings.allowed_hosts:
            yield "INTAKE_ALLOWED_HOSTS is not set, which allows DNS rebinding: list the host names of the service"
    if not settings.rate_limits:
        yield "INTAKE_RATE_LIMIT is off: one client can fill the database: set it, and INTAKE_RATE_LIMIT_EXEMPT"
    if not settings.cv_extensions:
        yield "INTAKE_CV_EXTENSIONS is *: attorneys receive files of any type from anyone: list the types you accept"
    for origin in settings.cors_origins:
        if origin.startswith("http://") and urlsplit(origin).hostname not in LOOPBACK:
            yield f"INTAKE_CORS_ORIGINS has {origin}, a page that can be changed in transit: use https"


def _processes(settings: Settings) -> Iterator[str]:
    if settings.processes > 1 and not settings.limits_store:
        yield (
            f"INTAKE_PROCESSES is {settings.processes} without INTAKE_LIMITS_STORE: each process counts wrong passwords"
            " separately, and allows its share of INTAKE_RATE_LIMIT: set INTAKE_LIMITS_STORE to a Redis server"
        )


def _mail(settings: Settings) -> Iterator[str]:
    server = settings.smtp_server
    if server is None:
        yield "INTAKE_SMTP_URL is not set: mails are written to a Maildir and not delivered: set the URL of a relay"
    elif server.host not in LOOPBACK and server.tls not in ("implicit", "required"):
        yield f"INTAKE_SMTP_URL has starttls={server.tls}: mails and passwords can be read in transit: use required"
    if settings.mail_from.domain == "localhost":
        yield f"INTAKE_MAIL_FROM is {settings.mail_from.address}: relays reject it: set an address of your domain"
    if not settings.attorney_emails:
        yield "INTAKE_ATTORNEY_EMAILS is not set: nobody is alerted to new leads: list the addresses of attorneys"
    if not settings.confirmations_per_hour:
        yield "INTAKE_CONFIRMATIONS_PER_HOUR is 0: one client can flood mailboxes in your name: set a cap"


def _database(settings: Settings) -> Iterator[str]:
    if settings.sqlite_file is not None:
        return
    url = urlsplit(settings.database_url)
    query = parse_qs(url.query)
    host = query.get("host", [url.hostname or ""])[0]
    if host and host not in LOOPBACK and not host.startswith("/") and query.get("sslmode", [""])[-1] not in ENCRYPTED:
        yield f"INTAKE_DATABASE_URL may reach {host} without TLS: add ?sslmode=verify-full (or require)"


def _sandbox(settings: Settings) -> Iterator[str]:
    lacking = " and ".join(sandbox.missing())
    if settings.cv_text and (fault := sandbox.fault(settings.cv_sandbox)):
        yield f"INTAKE_CV_SANDBOX is {sandbox.REQUIRED}, so no CV's text is extracted: {fault}"
    elif settings.cv_text and lacking:
        yield (
            f"INTAKE_CV_SANDBOX is {settings.cv_sandbox}, and this system lacks {lacking}: a crafted CV may run code as"
            " the service: run it on Linux 5.13 or newer, or set INTAKE_CV_TEXT=off"
        )


def _files(settings: Settings, directory: Path) -> Iterator[str]:
    paths = [directory / ".env"]
    if settings.sqlite_file is not None:
        paths += [settings.sqlite_file, settings.beside_database(".secret"), settings.beside_database(".maildir")]
    if settings.cv_store and settings.cv_store.startswith("file://"):
        paths.append(Path(settings.cv_store.removeprefix("file://")))
    for path in paths:
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield f"{path} is accessible to other users: chmod {'700' if path.is_dir() else '600'} {path}"

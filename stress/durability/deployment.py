"""A deployment under test: a database, the programs that use it, and their mail relay."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Self

import httpx2
from sqlalchemy import RowMapping

from intake.database import Database
from intake.database.migrations import migrate
from intake.settings import Settings
from intake.users import accounts
from stress.durability import outbox
from stress.durability.load import client
from stress.durability.tally import ALERTS, Size
from tests.conftest import SECRET
from tests.postgres import PostgresServer, database_url, maintenance
from tests.system.programs import Service, clean_environment, free_port
from tests.system.relay import Relay

USERNAME, PASSWORD = "ada", "correct horse battery"
SQLITE, POSTGRESQL = "sqlite", "postgresql"


class Site:
    """A temporary directory, and a PostgreSQL server that starts on first use."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._stack = ExitStack()
        self._numbers = count()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="intake-torture-")))

    @cached_property
    def postgres(self) -> PostgresServer:
        """The server, with fsync on, so that a crash loses no commit."""
        server = PostgresServer()
        self._stack.callback(server.close)
        self.start(server)
        return server

    def start(self, server: PostgresServer) -> None:
        """Start the server, for the first time or after it was killed."""
        server.start(fsync="on")

    def new_database(self, kind: str, *, in_tablespace: str | None = None) -> str:
        """Return the URL of a new, empty database."""
        name = f"torture_{next(self._numbers)}"
        if kind == SQLITE:
            return f"sqlite:///{self.directory / name}.db"
        with maintenance(self.postgres.url("postgres")) as cursor:
            cursor.execute(f"CREATE DATABASE {name}" + (f" TABLESPACE {in_tablespace}" if in_tablespace else ""))
        return database_url(self.postgres.url("postgres"), name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()


class Deployment:
    """The programs of one database; each can be killed, and all are killed at the end."""

    def __init__(self, site: Site, url: str, relay: Relay, **settings: str) -> None:
        self.site, self.relay, self._url = site, relay, url
        self._stack = ExitStack()
        defaults = {
            "INTAKE_DATABASE_URL": url,
            "INTAKE_JWT_SECRET": SECRET,
            "INTAKE_SMTP_URL": f"smtp://127.0.0.1:{relay.port}?starttls=off",
            "INTAKE_MAIL_FROM": "Marple & Wimsey <intake@firm.example>",
            "INTAKE_ATTORNEY_EMAILS": ",".join(ALERTS),
            "INTAKE_ALERT_INTERVAL": "0",
        }
        self._environment = clean_environment(site.directory, **{**defaults, **settings})
        _prepare(url)

    def serve(self, *flags: str, port: int | None = None) -> Service:
        """Start a service on a fixed port, so that it can be restarted there."""
        return self._start("serve", *flags, port=port or free_port())

    def work(self) -> Service:
        """Start a worker in its own process."""
        return self._start("worker", port=0)

    @cached_property
    def database(self) -> Database:
        """A connection for inspection; while it is open, a killed service is not the last to close SQLite's file."""
        database = Database(Settings(database_url=self._url), connections=1)
        self._stack.callback(database.close)
        return database

    def settle(self) -> Sequence[RowMapping]:
        """Wait until no mail is pending, which requires a working relay, and return all mails."""
        size = self.site.size
        return outbox.settle(self.database, within_s=size.settles_within_s, waits_for_leases=size.waits_for_leases)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def _start(self, *arguments: str, port: int) -> Service:
        environment = {**self._environment, "INTAKE_PORT": str(port)}
        service = self._stack.enter_context(Service(environment, self.site.directory, *arguments))
        self._stack.callback(kill, service)
        return service


def _prepare(url: str) -> None:
    """Migrate a database and create a user."""
    settings = Settings(database_url=url)
    migrate(settings)
    database = Database(settings, connections=1)
    accounts.create_user(database, username=USERNAME, password=PASSWORD, role=None)
    database.close()


def kill(service: Service) -> None:
    """Kill a program and wait for its end."""
    service.process.kill()
    service.process.wait()


@contextmanager
def deployed(site: Site, kind: str, relay: Relay, **settings: str) -> Iterator[Deployment]:
    """Yield a deployment on a new database with an open relay; `settings` override the defaults."""
    try:
        relay.open()
        with Deployment(site, site.new_database(kind), relay, **settings) as deployment:
            yield deployment
    finally:
        relay.close()


@contextmanager
def attorney(url: str) -> Iterator[httpx2.Client]:
    """Yield a client that is logged in."""
    credentials = {"username": USERNAME, "password": PASSWORD}
    with client(base_url=url) as logged_in:
        token = logged_in.post("/internal/auth/login", json=credentials).json()["access_token"]
        logged_in.headers["Authorization"] = f"Bearer {token}"
        yield logged_in

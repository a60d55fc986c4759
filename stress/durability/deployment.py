"""A firm: a database, the programs on it, and the relay that they send to."""

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
    """Where the proofs run: a temporary directory, and a PostgreSQL that is started when it is first asked for."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._stack = ExitStack()
        self._numbers = count()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="intake-torture-")))

    @cached_property
    def postgres(self) -> PostgresServer:
        """The server, which loses nothing in a crash."""
        server = PostgresServer()
        self._stack.callback(server.close)
        self.start(server)
        return server

    def start(self, server: PostgresServer) -> None:
        """Start the server, for the first time or after it was killed."""
        server.start(fsync="on")

    def new_database(self, kind: str, *, in_tablespace: str | None = None) -> str:
        """Return the address of a database with nothing in it."""
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


class Firm:
    """The programs on one database, each of which can be killed; all are, in the end."""

    def __init__(self, site: Site, url: str, relay: Relay, **settings: str) -> None:
        self.site, self.relay, self._url = site, relay, url
        self._stack = ExitStack()
        usual = {
            "INTAKE_DATABASE_URL": url,
            "INTAKE_JWT_SECRET": SECRET,
            "INTAKE_SMTP_URL": f"smtp://127.0.0.1:{relay.port}?starttls=off",
            "INTAKE_MAIL_FROM": "Marple & Wimsey <intake@firm.example>",
            "INTAKE_ATTORNEY_EMAILS": ",".join(ALERTS),
            "INTAKE_ALERT_INTERVAL": "0",
        }
        self._environment = clean_environment(site.directory, **{**usual, **settings})
        _prepare(url)

    def serve(self, *flags: str, port: int | None = None) -> Service:
        """Start a service, on a port that it can come back to."""
        return self._start("serve", *flags, port=port or free_port())

    def work(self) -> Service:
        """Start a worker apart."""
        return self._start("worker", port=0)

    @cached_property
    def database(self) -> Database:
        """The database, to look into; while it is open, SQLite's file is not left alone by a service that is killed."""
        opened = Database(Settings(database_url=self._url), connections=1)
        self._stack.callback(opened.close)
        return opened

    def settle(self) -> Sequence[RowMapping]:
        """Wait until no mail is owed, with a relay that is well, and return all of them."""
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
    """Migrate a database, and make a user there."""
    settings = Settings(database_url=url)
    migrate(settings)
    database = Database(settings, connections=1)
    accounts.create_user(database, username=USERNAME, password=PASSWORD, role=None)
    database.close()


def kill(service: Service) -> None:
    """Kill a program where it stands."""
    service.process.kill()
    service.process.wait()


@contextmanager
def opened(site: Site, kind: str, relay: Relay, **settings: str) -> Iterator[Firm]:
    """Give a firm on a new database, its relay open; `settings` come in place of the usual ones."""
    try:
        relay.open()
        with Firm(site, site.new_database(kind), relay, **settings) as firm:
            yield firm
    finally:
        relay.close()


@contextmanager
def attorney(url: str) -> Iterator[httpx2.Client]:
    """Give a client that has logged in."""
    credentials = {"username": USERNAME, "password": PASSWORD}
    with client(base_url=url) as logged_in:
        token = logged_in.post("/internal/auth/login", json=credentials).json()["access_token"]
        logged_in.headers["Authorization"] = f"Bearer {token}"
        yield logged_in

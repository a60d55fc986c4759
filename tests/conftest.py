"""Fixtures: a migrated database of each kind for each test, and the service on it."""

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import bcrypt
import hypothesis
import pytest
from httpx2 import Response
from sqlalchemy import Connection, Table, func, insert, select
from starlette.testclient import TestClient

from intake.app import create_app
from intake.database import Database
from intake.database.clock import Now
from intake.database.migrations import migrate
from intake.database.schema import lead, user_account
from intake.metrics import Metrics
from intake.settings import Settings, parsers
from intake.users.tokens import Claims, TokenSigner
from intake.workers import WORKER_CONNECTIONS, Workers
from tests.fork_server import ForkingPopen, RealPopen
from tests.pgbouncer import PgBouncer
from tests.postgres import PostgresServer, database_url, maintenance

# background jobs of a shell ignore SIGINT, and child processes would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

os.umask(0o022)  # the service refuses settings and templates that a group can write

# a busy machine must not fail a property test
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

SECRET = "a secret for tests of forty bytes or so"
PASSWORD = "correct horse"
QUICK_HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
POOLED = os.environ.get("INTAKE_TEST_PGBOUNCER") == "1"
ROOT = Path(__file__).parent
SLOW_PATHS = tuple(
    str(ROOT / path)
    for path in (
        "docs/test_language.py",
        "intake/backups",
        "intake/cv_text/test_hostile_files.py",
        "intake/cv_text/test_sandbox.py",
        "intake/cvs/test_restores.py",
        "intake/database/test_group_commit.py",
        "intake/database/test_query_plans.py",
        "intake/database/test_timeline.py",
        "intake/database/test_unavailable.py",
        "intake/form/test_spam_rates.py",
        "intake/internal_api/test_get_leads.py",
        "intake/internal_api/test_login.py",
        "intake/internal_api/test_login_queue.py",
        "intake/internal_api/test_post_persons_erase.py",
        "intake/internal_api/test_put_password.py",
        "intake/internal_api/test_register.py",
        "intake/internal_api/test_stats.py",
        "intake/leads/test_cv_texts.py",
        "intake/leads/test_retention.py",
        "intake/leads/test_scans.py",
        "intake/mail/test_confirmation_caps.py",
        "intake/mail/test_messages.py",
        "intake/search/test_excerpts.py",
        "intake/search/test_tokenizer.py",
        "intake/test_server.py",
        "intake/users/test_passwords.py",
        "intake/workers/test_mail.py",
        "leadctl/commands/test_bulk.py",
        "leadctl/commands/test_search.py",
        "leadctl/commands/test_suspects.py",
        "leadctl/commands/test_watch.py",
        "leadctl/test_connections.py",
        "leadctl/test_polling.py",
        "leadctl/test_program.py",
        "migrations",
        "system",
    )
)
_numbers = itertools.count()


def pytest_configure() -> None:
    """Fork programs in tests only: benchmarks and drills import this module too, and measure real starts."""
    if sys.platform == "linux" and os.environ.get("INTAKE_TEST_REAL_STARTS") != "1":
        subprocess.Popen = ForkingPopen  # type: ignore[misc]


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are cores, because tests of real programs mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Mark slow tests, and select the tests that use a database if it is behind a pooler."""
    for item in items:
        if _is_slow(item):
            item.add_marker("slow")
    parts: dict[bool, list[pytest.Function]] = {True: [], False: []}
    for item in items:
        parts["databases" in item.fixturenames if POOLED else item.path.name != "test_pgbouncer.py"].append(item)
    config.hook.pytest_deselected(items=parts[False])
    items[:] = parts[True]


def _is_slow(item: pytest.Function) -> bool:
    """Return whether a test starts real programs, uses PostgreSQL or takes seconds."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    is_in_slow_path = str(item.path).startswith(SLOW_PATHS)
    return is_in_slow_path or parameters.get("databases") == "postgresql" or "service" in item.fixturenames


@pytest.fixture
def real_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start all programs of a test with a new interpreter."""
    monkeypatch.setattr(subprocess, "Popen", RealPopen)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a maintenance database: INTAKE_TEST_DATABASE_URL, or that of a temporary server."""
    if given := os.environ.get("INTAKE_TEST_DATABASE_URL"):
        yield given
        return
    server = PostgresServer(in_memory=True)
    try:
        server.start(autovacuum="off")  # it would visit every test's database
        yield server.url("postgres")
    finally:
        server.close()


@pytest.fixture(scope="session")
def service_url(postgres_url: str) -> Iterator[str]:
    """The URL at which the service connects: the server's, or that of PgBouncer in front of it."""
    if not POOLED:
        yield postgres_url
        return
    pooler = PgBouncer(postgres_url)
    try:
        pooler.start()
        yield pooler.url("postgres")
    finally:
        pooler.close()


class Databases:
    """Creates migrated databases by copying a template.

    They are created at `postgres_url` and used at `service_url`.
    """

    def __init__(self, kind: str, directory: Path, postgres_url: str, service_url: str) -> None:
        self._kind, self._directory = kind, directory
        self._postgres_url, self._service_url = postgres_url, service_url
        self._names: list[str] = []
        self._template = self._new_name()
        self._create(self._template, None)
        # not through PgBouncer, whose open connection would prevent copying the template
        migrate(Settings(database_url=self._url(self._template, postgres_url)))

    def empty_url(self) -> str:
        """Return the URL of a new, empty database (SQLite: of a file that does not exist)."""
        name = self._new_name()
        self._create(name, None)
        return self._url(name, self._service_url)

    def migrated_url(self) -> str:
        """Return the URL of a new, migrated database."""
        name = self._new_name()
        self._create(name, self._template)
        return self._url(name, self._service_url)

    def backup(self, url: str) -> str:
        """Return the URL of a copy of a database; PostgreSQL closes all other connections to the original."""
        name = self._new_name()
        if self._kind == "sqlite":
            source = sqlite3.connect(url.removeprefix("sqlite:///"))
            with closing(source), closing(sqlite3.connect(self._directory / f"{name}.db")) as copy:
                source.backup(copy)
            return self._url(name, self._service_url)
        source_name = url.rpartition("/")[2].partition("?")[0]
        with maintenance(self._postgres_url) as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [source_name])
        self._create(name, source_name)
        return self._url(name, self._service_url)

    @property
    def count(self) -> int:
        """How many exist."""
        return len(self._names)

    def drop(self, first: int) -> None:
        """Drop the PostgreSQL databases from the `first` on: together they would fill a disk."""
        if self._kind == "postgresql":
            with maintenance(self._postgres_url) as cursor:
                for name in self._names[first:]:
                    cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        del self._names[first:]

    def _new_name(self) -> str:
        self._names.append(f"intake_test_{os.getpid()}_{next(_numbers)}")
        return self._names[-1]

    def _create(self, name: str, template: str | None) -> None:
        if self._kind == "sqlite":
            if template:
                shutil.copy(self._directory / f"{template}.db", self._directory / f"{name}.db")
            return
        with maintenance(self._postgres_url) as cursor:
            # twice as fast as copying through the write-ahead log
            strategy = "STRATEGY FILE_COPY" if cursor.connection.server_version >= 150000 else ""
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE {template or "template0"} {strategy}')

    def _url(self, name: str, server_url: str) -> str:
        if self._kind == "sqlite":
            return f"sqlite:///{self._directory / name}.db"
        return database_url(server_url, name)


@pytest.fixture(scope="session", params=["postgresql"] if POOLED else ["sqlite", "postgresql"])
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_url: str, service_url: str
) -> Iterator[Databases]:
    created = Databases(request.param, tmp_path_factory.mktemp("databases"), postgres_url, service_url)
    yield created
    created.drop(0)


@pytest.fixture(autouse=True)
def _drop_databases(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drop the databases that a test creates."""
    databases = request.getfixturevalue("databases") if "databases" in request.fixturenames else None
    existing = databases.count if databases else 0
    yield
    if databases:
        databases.drop(existing)


class Intake:
    """The service on a test's database, with a client and helpers."""

    def __init__(self, settings: Settings, database: Database, client: TestClient) -> None:
        self.settings, self.database, self.client = settings, database, client
        self.keys = TokenSigner.from_settings(settings)

    def user(self, username: str = "ada", *, role: str = "attorney", disabled: bool = False) -> int:
        """Create a user with the password PASSWORD and return the id."""
        values: dict[str, Any] = {
            "username": username,
            "username_key": username.casefold(),
            "password_hash": QUICK_HASH,
        }
        values |= {"role": role, "disabled": disabled, "created_at": Now(plus_s=-30 * 86400.0)}
        statement = insert(user_account).values(**values).returning(user_account.c.id)
        return int(self.write(lambda connection: connection.execute(statement).scalar_one()))

    def bearer(self, user_id: int) -> dict[str, str]:
        """Return an Authorization header with a token of the user."""
        token = self.keys.encode(Claims(user_id, int(time.time()), 0))
        return {"Authorization": f"Bearer {token}"}

    def submit(self, **fields: Any) -> Response:
        """Submit a lead; `fields` override the defaults."""
        file = fields.pop("CV", ("cv.pdf", b"%PDF-1.4 a CV"))
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", **fields}
        return self.client.post("/leads/", data=form, files={"CV": file})

    def submitted(self, **fields: Any) -> int:
        """Submit a lead, check that it is accepted, and return its id."""
        response = self.submit(**fields)
        assert response.status_code == 204, response.text
        return int(self.read(lambda connection: connection.execute(select(func.max(lead.c.id))).scalar_one()))

    def read(self, work: Callable[[Connection], Any]) -> Any:
        """Return the result of `work` in a read transaction."""
        return self.database.read(work)

    def write(self, work: Callable[[Connection], Any]) -> Any:
        """Return the result of `work` after its transaction is committed."""
        return self.database.write(work)

    def count(self, table: Table) -> int:
        """Return the number of rows in a table."""
        query = select(func.count()).select_from(table)
        return int(self.read(lambda connection: connection.execute(query).scalar_one()))


@contextmanager
def running_workers(intake: Intake, metrics: Metrics | None = None) -> Iterator[Workers]:
    """Run workers on the database of a service, and close their connections once their threads have ended."""
    with closing(Database(intake.settings, connections=WORKER_CONNECTIONS)) as database:
        workers = Workers(intake.settings, database, metrics or Metrics())
        workers.start()
        try:
            yield workers
        finally:
            workers.stop()
            workers.join()


@pytest.fixture
def start(databases: Databases) -> Iterator[Callable[..., Intake]]:
    """A function that starts the service on a new database, with settings that override the defaults."""
    with ExitStack() as stack:

        def started(**changes: Any) -> Intake:
            defaults = Settings(
                database_url=databases.migrated_url(),
                jwt_secrets=(SECRET,),
                attorney_emails=("harriet@firm.example", "peter@firm.example"),
                rate_limits=(),  # every test is one client
                max_uploads=400,
                cv_extensions=(),
            )
            if "rate_limits" in changes:
                changes["rate_limits"] = parsers.rate_limits(changes["rate_limits"])
            settings = replace(defaults, **changes)
            database = Database(settings, connections=2)
            stack.callback(database.close)
            app = create_app(settings, with_worker=False)
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            return Intake(settings, database, client)

        yield started


@pytest.fixture
def intake(start: Callable[..., Intake]) -> Intake:
    """The service on a new database, without a worker."""
    return start()


@pytest.fixture
def twin(intake: Intake, start: Callable[..., Intake]) -> Intake:
    """A second instance on the same database, because one instance may hash passwords one after the other."""
    return start(database_url=intake.settings.database_url)


@pytest.fixture
def attorney(intake: Intake) -> TestClient:
    """A client that is authenticated as an attorney."""
    intake.client.headers.update(intake.bearer(intake.user()))
    return intake.client

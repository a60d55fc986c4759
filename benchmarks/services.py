"""A service on a database with many leads, and a baseline server on the same database."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, select

from benchmarks.baselines import constant
from benchmarks.hanging_relay import database
from benchmarks.sample_data import fill
from intake.audit import Action, Actor, record
from intake.database import Database
from intake.database.migrations import migrate
from intake.database.schema import user_account
from intake.settings import Settings
from intake.users import accounts, authentication
from intake.users.tokens import TokenSigner
from tests.conftest import SECRET
from tests.system.programs import Service, clean_environment

KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}  # with display names
USERNAME, PASSWORD = "ada", "a password for the benchmark"
LOGINS = 20  # other users who logged in from this machine before
OTHERS = [f"user{number}" for number in range(LOGINS)]


class Baseline(Service):
    """The baseline server, which returns constants and files, as a process."""

    program = (sys.executable, constant.__file__)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A database, the service and the baseline server on it, a token valid for both, and the baseline's files."""

    name: str
    url: str
    token: str
    service: Service
    baseline: Baseline
    files: Path


@contextmanager
def deployed(kind: str, *, leads: int, cv_words: bool = False) -> Iterator[Deployment]:
    """Yield a deployment with this number of leads, whose ids begin with 1; see `fill`."""
    with tempfile.TemporaryDirectory() as temporary, database(kind, Path(temporary)) as url:
        directory = Path(temporary)
        migrate(Settings(database_url=url))
        fill(url, leads, cv_words=cv_words)
        token = _token(url)
        environment = clean_environment(directory, INTAKE_DATABASE_URL=url, INTAKE_JWT_SECRET=SECRET)
        files = directory / "files"
        files.mkdir()
        with (
            Service(environment, directory, "serve", "--no-worker") as service,
            Baseline(environment, directory, str(files)) as baseline,
        ):
            yield Deployment(name=KINDS[kind], url=url, token=token, service=service, baseline=baseline, files=files)


def _add_others(connection: Connection) -> None:
    """Add users who logged in from this machine, with one shared password hash to save time."""
    password_hash = connection.execute(select(user_account.c.password_hash)).scalar_one()
    shared = {"password_hash": password_hash, "role": "attorney"}
    for name in OTHERS:
        account = insert(user_account).values(username=name, username_key=name, **shared).returning(user_account.c.id)
        number = connection.execute(account).scalar_one()
        record(connection, Action.LOGIN, Actor(user_id=number, client="127.0.0.1"))


def _token(url: str) -> str:
    settings = Settings(database_url=url, jwt_secrets=(SECRET,))
    with closing(Database(settings, connections=1)) as opened:
        accounts.create_user(opened, username=USERNAME, password=PASSWORD, role=None)
        opened.write(_add_others)
        keys = TokenSigner.from_settings(settings)
        return authentication.log_in(opened, keys, username=USERNAME, password=PASSWORD)

"""A firm whose database holds many leads, its service, and a server that does next to nothing on the same database."""

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

KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}  # and what they are called
USERNAME, PASSWORD = "ada", "a password for the benchmark"
LOGINS = 20  # other users, who are known at this machine
OTHERS = [f"user{number}" for number in range(LOGINS)]


class Rival(Service):
    """The server that does next to nothing, as a process."""

    program = (sys.executable, constant.__file__)


@dataclass(frozen=True, kw_only=True)
class Firm:
    """A database called `name`, at `url`; two servers, at both of which `token` is good; and the files of the rival."""

    name: str
    url: str
    token: str
    service: Service
    rival: Rival
    files: Path


@contextmanager
def firm(kind: str, *, leads: int) -> Iterator[Firm]:
    """Give a firm with so many leads, whose ids begin with 1."""
    with tempfile.TemporaryDirectory() as temporary, database(kind, Path(temporary)) as url:
        directory = Path(temporary)
        migrate(Settings(database_url=url))
        fill(url, leads)
        token = _token(url)
        environment = clean_environment(directory, INTAKE_DATABASE_URL=url, INTAKE_JWT_SECRET=SECRET)
        files = directory / "files"
        files.mkdir()
        with (
            Service(environment, directory, "serve", "--no-worker") as service,
            Rival(environment, directory, str(files)) as rival,
        ):
            yield Firm(name=KINDS[kind], url=url, token=token, service=service, rival=rival, files=files)


def _add_others(connection: Connection) -> None:
    """Add users with the same password, who logged in from this machine, without the seconds that hashing takes."""
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

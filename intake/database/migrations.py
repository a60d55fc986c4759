"""Schema migrations: apply them, and decide whether this version can use a schema."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from psycopg2.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, Engine, func, inspect, select
from sqlalchemy.exc import OperationalError

from intake.database.engine import open_engine
from intake.database.schema import schema_window
from intake.database.transactions import AdvisoryLock, Database, translated_errors
from intake.errors import DatabaseMissing, DatabaseNotMigrated
from intake.settings import Settings

POLL_S = 1.0
# an attempt makes requests wait for up to MIGRATION_LOCK_TIMEOUT_S; the pause lets them catch up
LOCK_ATTEMPTS, LOCK_PAUSE_S = 60, 5.0
NOT_MIGRATED = "the database is not migrated; run: intake migrate"
TOO_NEW = "the database's schema is too new for this version; install the version that migrated it"

# each, if the server has it, would end the idle transaction that holds the lock
_SET_NO_TIMEOUTS = """
    SELECT set_config(name, '0', true) FROM pg_settings
    WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""

log = logging.getLogger("intake.database")


def migrate(settings: Settings) -> bool:
    """Migrate the schema to this version, and return whether it is; create a SQLite file if there is none.

    False means that the schema is newer, unchanged, and one that this version can use. SQLite migrates in one
    transaction. PostgreSQL commits each step. Concurrent migrations run one after another. Raises DatabaseUnavailable,
    DatabaseMissing or DatabaseNotMigrated.
    """
    if (file := settings.sqlite_file) is not None:
        _make_file(file)
    engine = open_engine(settings, connections=2, migrating=True)
    try:
        with translated_errors():
            if _is_outdated(engine):  # otherwise it need not wait for a newer version's migration
                (_upgrade_postgresql if file is None else _upgrade_sqlite)(engine)
            with engine.connect() as connection:
                return MigrationContext.configure(connection).get_current_heads() == _heads()
    except CommandError as error:
        raise DatabaseNotMigrated(f"the database belongs to another version of this service: {error}") from error
    finally:
        engine.dispose()


def schema_error(database: Database) -> str | None:
    """Return why this version can't use the schema, with the remedy; None if it can. Raises DatabaseUnavailable."""
    return database.read(_schema_error)


def needed_revision() -> str:
    """Return the revision of the schema that this version needs."""
    return ",".join(_heads())


def is_known(revision: str) -> bool:
    """Return whether this version has a migration to the schema."""
    return revision in _revisions()


def _schema_error(connection: Connection) -> str | None:
    found = MigrationContext.configure(connection).get_current_heads()
    if found == _heads():
        return None
    if all(map(is_known, found)):
        return NOT_MIGRATED
    # a known minimum is this version's head or an ancestor of it, because the migrations have one head
    minimum = select(schema_window.c.minimum_revision)
    is_inside = inspect(connection).has_table(schema_window.name) and connection.scalar(minimum) in _revisions()
    return None if is_inside else TOO_NEW


def _is_outdated(engine: Engine) -> bool:
    with engine.connect() as connection:
        error = _schema_error(connection)
    if error == TOO_NEW:
        raise DatabaseNotMigrated(error)
    return error is not None


def _upgrade_sqlite(engine: Engine) -> None:
    with engine.execution_options(writing=True).begin() as connection:
        command.upgrade(_config(connection), "head")
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise AssertionError(f"a migration broke foreign keys: {broken[:5]}")


def _upgrade_postgresql(engine: Engine) -> None:
    """Apply each step in its own transaction; repeat a step that did not get its locks."""
    with _turn(engine) as held:
        _check_encoding(held)
        attempts = LOCK_ATTEMPTS
        while _is_outdated(engine):
            try:
                with engine.connect() as connection:
                    command.upgrade(_config(connection), "head")
            except OperationalError as error:
                attempts -= 1
                if not isinstance(error.orig, (LockNotAvailable, DeadlockDetected)) or not attempts:
                    raise
                log.warning("other transactions hold locks that the migration needs; attempts left: %d", attempts)
                time.sleep(LOCK_PAUSE_S)


@contextmanager
def _turn(engine: Engine) -> Iterator[Connection]:
    """Hold the lock for migrations on a connection of its own, which is yielded.

    Concurrent index builds wait for each transaction that has a snapshot. So waiting happens without a transaction, and
    the transaction that holds the lock is idle, and has no snapshot under READ COMMITTED.
    """
    for waits in count():
        with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection:
            if connection.execute(select(func.pg_try_advisory_xact_lock(AdvisoryLock.MIGRATION.value))).scalar_one():
                connection.exec_driver_sql(_SET_NO_TIMEOUTS)
                yield connection
                return
        if waits % 60 == 0:
            log.info("waiting for another migration to end")
        time.sleep(POLL_S)


@cache
def _heads() -> tuple[str, ...]:
    return tuple(ScriptDirectory.from_config(_config()).get_heads())


@cache
def _revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _make_file(file: Path) -> None:
    try:
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))  # it contains personal data
    except OSError as error:
        raise DatabaseMissing(f"can't create or write the database {file}: {error.strerror}") from error


def _check_encoding(connection: Connection) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise DatabaseNotMigrated(f"the database has the encoding {encoding}; create one with ENCODING 'UTF8'")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _scripts() -> Path:
    """Return the directory of the migrations: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "alembic"

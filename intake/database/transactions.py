"""One transaction around a function, and one vocabulary for what a database can't do."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar, cast

import psycopg2
from psycopg2.errors import DeadlockDetected, LockNotAvailable, ReadOnlySqlTransaction
from sqlalchemy import ColumnElement, Connection, Engine, Executable, Insert, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from intake.database.engine import LOCK_TIMEOUT_S, BoundedConnection, open_engine
from intake.database.group_commit import GroupCommit
from intake.database.secure_delete import REWRITTEN_BYTES, sweep
from intake.errors import DatabaseUnavailable, LockTimeout
from intake.settings import Settings

BRIEFLY_S = 2
STATEMENTS = 64  # that are kept

# no connection, no time, no room, no leave to write, no database in the file
_AWAY = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    ReadOnlySqlTransaction,
    sqlite3.OperationalError,
    sqlite3.InterfaceError,
)

T = TypeVar("T")
_Values = Mapping[str, object] | Sequence[Mapping[str, object]]


class Database:
    """The database that the settings name, opened with at most `connections` at once."""

    def __init__(self, settings: Settings, *, connections: int) -> None:
        self._engine = open_engine(settings, connections=connections)
        self._writing_engine = self._engine.execution_options(writing=True)
        self._group_commit = GroupCommit(self._write) if self._engine.dialect.name == "sqlite" else None

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that reads, and return its result.

        Raises DatabaseUnavailable if the database is unreachable, or can't do the work now.
        """
        return _in_transaction(self._engine, work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that writes, and return its result once committed. Raises DatabaseUnavailable."""
        return self._group_commit.write_alone(work) if self._group_commit else self._write(work)

    def write_grouped(self, work: Callable[[Connection], T]) -> T:
        """Do as `write` does, but on SQLite share the transaction with other grouped work that is waiting.

        `work` may run in another thread, and a second time after an error: it must have no effects outside of the
        database. Raises DatabaseUnavailable.
        """
        return self._group_commit.write(work) if self._group_commit else self._write(work)

    def _write(self, work: Callable[[Connection], T]) -> T:
        return _in_transaction(self._writing_engine, work)

    def sweep(self, *, most_bytes: int | None = REWRITTEN_BYTES) -> bool:
        """Sweep what deleted rows left out of the database's files, and return whether no trace is left there.

        A SQLite file is rewritten if it has at most `most_bytes` (None: whatever its size). PostgreSQL does so by
        itself, in time. Raises DatabaseUnavailable.
        """
        if self._engine.dialect.name != "sqlite":
            return False
        with translated_errors():
            pooled = self._engine.raw_connection()  # no transaction may be open
            try:
                return sweep(cast("Any", pooled.driver_connection), most_bytes=most_bytes)
            finally:
                pooled.close()

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()


def advisory_lock(connection: Connection, lock: int) -> None:
    """Let one transaction at a time pass here, by the number of a lock; SQLite's writers are so by themselves."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


def execute_with_next(connection: Connection, statement: Executable, values: _Values) -> None:
    """Execute a statement whose result nobody asks for. PostgreSQL gets it with the next one, and errors show there."""
    connection.execute(statement, values, execution_options={"held": True})


def insert_if_absent(
    connection: Connection, table: Table, values: Mapping[str, object], *, replacing: ColumnElement[bool] | None = None
) -> bool:
    """Insert a row unless one with its primary key is there, and return whether it was inserted.

    `values` are parameters; what they lack has the table's defaults. A row for which `replacing` holds is replaced: the
    statement is kept for that condition, which is therefore to be made once. A transaction that inserts the same key at
    the same time is waited for; SQLite has none. Raises LockTimeout where that takes too long.
    """
    with translated_errors():
        return bool(connection.execute(insertion(connection, table, replacing), values).rowcount)


def insertion(connection: Connection, table: Table, replacing: ColumnElement[bool] | None) -> Insert:
    """Return the statement that inserts a row unless one with its primary key is there, as `insert_once` does."""
    return _insertion(connection.dialect.name, table, replacing)


@lru_cache(STATEMENTS)
def _insertion(dialect: str, table: Table, replacing: ColumnElement[bool] | None) -> Insert:
    statement: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    if replacing is None:
        return cast("Insert", statement.on_conflict_do_nothing())
    values = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return cast(
        "Insert", statement.on_conflict_do_update(index_elements=table.primary_key, set_=values, where=replacing)
    )


@contextmanager
def short_lock_timeout(connection: Connection) -> Iterator[None]:
    """Wait no longer than BRIEFLY_S for any lock. LockTimeout is raised then."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BRIEFLY_S}s'")
    yield  # after an error the transaction is over, and its settings with it
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what drivers and the pool raise where there is no database to work with into DatabaseUnavailable.

    Drivers raise by themselves while a CV's bytes go in or out; elsewhere SQLAlchemy wraps what they raise.
    """
    try:
        yield
    except (*_AWAY, PoolTimeout, DBAPIError) as error:
        if isinstance(error, DBAPIError) and not _is_away(error):
            raise
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        is_held = isinstance(getattr(error, "orig", None), (LockNotAvailable, DeadlockDetected))
        kind = LockTimeout if is_held else DatabaseUnavailable
        raise kind("the database can't take this now; try again later", reason=reason) from error


def _is_away(error: DBAPIError) -> bool:
    # sqlite3 raises the plain class, and no kind of it, for a file that is damaged or no database at all
    is_damaged = type(error.orig) is sqlite3.DatabaseError
    # so, too, where the address holds what the driver does not know; else it is a commit that was the last to tell
    is_connecting = error.statement is None and not isinstance(error, IntegrityError | DataError)
    return error.connection_invalidated or is_damaged or is_connecting or isinstance(error.orig, _AWAY)


def _in_transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    with translated_errors():
        with engine.connect() as connection:
            driver_connection = connection.connection.driver_connection
            try:
                return _committed(connection, work)
            except (psycopg2.Error, DBAPIError):
                if not (isinstance(driver_connection, BoundedConnection) and driver_connection.had_ended):
                    raise
        engine.dispose()  # what ended one that was kept has ended the others, too
        with engine.connect() as connection:
            return _committed(connection, work)


def _committed(connection: Connection, work: Callable[[Connection], T]) -> T:
    with connection.begin():
        return work(connection)

"""Transactions around functions, and translation of driver errors."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum, unique
from functools import lru_cache
from typing import Any, TypeVar, cast

import psycopg2
from psycopg2.errors import (
    DeadlockDetected,
    InsufficientPrivilege,
    LockNotAvailable,
    QueryCanceled,
    ReadOnlySqlTransaction,
)
from sqlalchemy import ColumnElement, Connection, Engine, Insert, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from intake.database import timeline
from intake.database.engine import LOCK_TIMEOUT_S, BoundedConnection, open_engine
from intake.database.group_commit import GroupCommit
from intake.database.secure_delete import MAX_REWRITE_BYTES, purge_deleted
from intake.errors import DatabaseUnavailable, LockTimeout, StatementTimeout
from intake.settings import Settings

SHORT_LOCK_TIMEOUT_S = 2
CACHED_STATEMENTS = 64

# no connection, timeout, full disk, no right to write, or not a database file
_UNAVAILABLE = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    ReadOnlySqlTransaction,
    InsufficientPrivilege,
    sqlite3.OperationalError,
    sqlite3.InterfaceError,
)

T = TypeVar("T")


@unique
class AdvisoryLock(IntEnum):
    """Numbers of advisory locks on PostgreSQL."""

    MIGRATION = 0x1EADC72  # 0x1EADC71 was the lock of versions that waited for it in a transaction
    CAPS = 0x1EADC73
    SERIES = 0x1EADC74
    ACCOUNTS = 0x1EADC75


class Database:
    """The database of the settings, with at most `connections` at once."""

    def __init__(self, settings: Settings, *, connections: int) -> None:
        self._engine = open_engine(settings, connections=connections)
        self.max_connections = connections
        self._failover_gap = settings.failover_gap
        self._writing_engine = self._engine.execution_options(writing=True)
        self._group_commit = GroupCommit(self._write) if self._engine.dialect.name == "sqlite" else None

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that reads, and return its result.

        Raises DatabaseUnavailable if the database is unreachable, or can't do the work now.
        """
        return self._in_transaction(self._engine, work)

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
        return self._in_transaction(self._writing_engine, work)

    def _in_transaction(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        """Run `work`; if its first statement finds a lost connection or a promoted server, recover and run it again."""
        # what has ended one pooled connection has ended the others, too
        recoveries = {_is_lost: engine.dispose, _is_promoted: self._follow_timeline}
        with translated_errors():
            while True:
                with engine.connect() as connection:
                    driver_connection = connection.connection.driver_connection
                    try:
                        return _committed(connection, work)
                    except (psycopg2.Error, DBAPIError) as error:
                        causes = [is_cause for is_cause in recoveries if is_cause(driver_connection, error)]
                        if not causes:
                            raise
                recoveries.pop(causes[0])()

    def _follow_timeline(self) -> None:
        with self._writing_engine.execution_options(checked=False).begin() as connection:
            timeline.follow(connection, gap=self._failover_gap)

    def purge_deleted(self, *, max_bytes: int | None = MAX_REWRITE_BYTES) -> bool:
        """Purge deleted data from the database files, and return whether none is left.

        A SQLite file is rewritten if it has at most `max_bytes` (None: any size). PostgreSQL reuses the space on its
        own, in time. Raises DatabaseUnavailable, also if readers or writers in other processes prevent it.
        """
        if self._group_commit is None:
            return False
        with translated_errors(), self._group_commit.turn():
            pooled = self._engine.raw_connection()  # no transaction may be open
            try:
                return purge_deleted(cast("Any", pooled.driver_connection), max_bytes=max_bytes)
            finally:
                pooled.close()

    @property
    def connections_in_use(self) -> int:
        """The number of connections in use."""
        return cast("QueuePool", self._engine.pool).checkedout()

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()


def advisory_lock(connection: Connection, lock: AdvisoryLock) -> None:
    """Serialize transactions that take the lock; on SQLite, all writers are serialized anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock.value})


def insert_if_absent(
    connection: Connection, table: Table, values: Mapping[str, object], *, replacing: ColumnElement[bool] | None = None
) -> bool:
    """Insert a row unless its primary key exists, and return whether it was inserted.

    `values` are parameters; other columns get their defaults. An existing row that satisfies `replacing` is replaced;
    build the condition once, because the statement is cached by it. Waits for a concurrent transaction that inserts the
    same key (SQLite has none). Raises LockTimeout.
    """
    with translated_errors():
        return bool(connection.execute(insertion(connection.dialect.name, table, replacing), values).rowcount)


@lru_cache(CACHED_STATEMENTS)
def insertion(dialect: str, table: Table, replacing: ColumnElement[bool] | None) -> Insert:
    """Return the statement of `insert_if_absent`."""
    statement: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    if replacing is None:
        return cast("Insert", statement.on_conflict_do_nothing())
    values = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return cast(
        "Insert", statement.on_conflict_do_update(index_elements=table.primary_key, set_=values, where=replacing)
    )


@contextmanager
def short_lock_timeout(connection: Connection) -> Iterator[None]:
    """Wait at most SHORT_LOCK_TIMEOUT_S for each lock. Raises LockTimeout."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{SHORT_LOCK_TIMEOUT_S}s'")
    yield  # after an error the transaction ends, and its settings with it
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translate errors of drivers and the pool that mean an unusable database to DatabaseUnavailable.

    While CV bytes are streamed, drivers raise directly; otherwise SQLAlchemy wraps their errors.
    """
    try:
        yield
    except (psycopg2.Error, sqlite3.Error, PoolTimeout, DBAPIError) as error:
        if not _is_unavailable(error):
            raise
        driver_error = _driver_error(error)
        reason = str(driver_error).partition("\n")[0]
        raise _kind(driver_error)(
            "the database is temporarily unavailable; try again in a moment", reason=reason
        ) from error


def _driver_error(error: Exception) -> object:
    """Return the driver's error, which SQLAlchemy may have wrapped."""
    return getattr(error, "orig", None) or error


def _kind(error: object) -> type[DatabaseUnavailable]:
    if isinstance(error, (LockNotAvailable, DeadlockDetected)):
        return LockTimeout
    return StatementTimeout if isinstance(error, QueryCanceled) else DatabaseUnavailable


def _is_unavailable(error: Exception) -> bool:
    # psycopg2 raises the base class itself if the server was killed, sqlite3 for a file that is damaged or no database
    is_base = type(_driver_error(error)) in (sqlite3.DatabaseError, psycopg2.DatabaseError)
    if not isinstance(error, DBAPIError):
        return is_base or isinstance(error, (*_UNAVAILABLE, PoolTimeout))
    # without a statement, connecting failed (also for an unsupported URL), or a commit with a constraint error
    is_connecting = error.statement is None and not isinstance(error, IntegrityError | DataError)
    return error.connection_invalidated or is_base or is_connecting or isinstance(error.orig, _UNAVAILABLE)


def _is_lost(driver_connection: object, _error: Exception) -> bool:
    return isinstance(driver_connection, BoundedConnection) and driver_connection.had_ended


def _is_promoted(_driver_connection: object, error: Exception) -> bool:
    return getattr(_driver_error(error), "pgcode", None) == timeline.PROMOTED


def _committed(connection: Connection, work: Callable[[Connection], T]) -> T:
    with connection.begin():
        return work(connection)

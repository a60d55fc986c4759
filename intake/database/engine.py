"""SQLAlchemy engines for SQLite and PostgreSQL."""

import sqlite3
from pathlib import Path
from typing import Any, cast

import psycopg2.extensions
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, cursor
from sqlalchemy import URL, Connection, Engine, create_engine, event

from intake.database import timeline
from intake.errors import DatabaseMissing
from intake.settings import Settings

BUSY_TIMEOUT_MS = 5_000
CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 15
LOCK_TIMEOUT_S = 5
MIGRATION_LOCK_TIMEOUT_S = 2  # less than LOCK_TIMEOUT_S, because requests queue behind a waiting ALTER TABLE
IDLE_TIMEOUT_S = 15
TCP_TIMEOUT_S = 15
CONNECTION_OK = 0  # libpq's status
# without recursive triggers, INSERT OR REPLACE could delete an audit entry without firing its trigger
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "recursive_triggers=ON")


def open_engine(settings: Settings, *, connections: int, migrating: bool = False) -> Engine:
    """Open the database with at most `connections` at once.

    Only migrations create a SQLite file, and they run without foreign keys: with them, rebuilding a table would delete
    the rows that refer to it. Raises DatabaseMissing if the file does not exist.
    """
    if (file := settings.sqlite_file) is not None:
        if not migrating and not file.is_file():
            raise DatabaseMissing(f"there is no database at {file}: create it with `intake serve` or `intake migrate`")
        return _open_sqlite(file, connections=connections, migrating=migrating)
    engine = create_engine(
        settings.database_url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,  # errors are logged, and parameters are personal data
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": TCP_TIMEOUT_S * 1000,
            "application_name": "intake",
            **({} if migrating else {"connection_factory": BoundedConnection, "cursor_factory": _Cursor}),
        },
    )
    (_bound_lock_waits if migrating else _bound_transactions)(engine)
    return engine


class BoundedConnection(psycopg2.extensions.connection):
    """A connection that sends timeouts together with the statements they limit, which saves a round trip.

    A writing transaction begins with its first statement. Each reading statement is its own transaction: under
    READ COMMITTED, each would see the latest commits within one transaction, too.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.autocommit = True  # the driver would begin a transaction in its own round trip
        self.has_answered = False
        self._is_writing = False
        self._check = b""
        # local to the transaction, for poolers in transaction mode
        self._limits = (
            f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; "
            f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s';\n"
        ).encode()

    def begin(self, *, writing: bool, checked: bool) -> None:
        """Begin a transaction with the next statement, which fails after a promotion of the server if `checked`.

        `has_answered` is false until a statement has succeeded.
        """
        self.has_answered, self._is_writing = False, writing
        self._check = timeline.CHECK if checked else b""

    @property
    def had_ended(self) -> bool:
        """Whether the connection was lost before any work, so that the work can be repeated on another."""
        is_lost = self.closed or self.info.status != CONNECTION_OK  # `closed` is not set if the server was killed
        return bool(is_lost) and not self.has_answered

    def prelude(self) -> bytes:
        """Return the statements to send before the next one."""
        if self._is_writing:
            return b"" if self.has_answered else b"BEGIN; " + self._limits + self._check
        return self._limits

    def commit(self) -> None:
        """Commit the transaction, if there is one."""
        if self._is_open:
            self._execute(b"COMMIT")

    def rollback(self) -> None:
        """Roll the transaction back, if there is one."""
        if self._is_open:
            self._execute(b"ROLLBACK")

    @property
    def _is_open(self) -> bool:
        return self.info.transaction_status != TRANSACTION_STATUS_IDLE

    def _execute(self, statement: bytes) -> None:
        with self.cursor(cursor_factory=cursor) as plain:
            plain.execute(statement)


class _Cursor(cursor):
    connection: BoundedConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - the driver's name
        super().execute(self.connection.prelude() + self.mogrify(query, vars))
        self.connection.has_answered = True

    def executemany(self, query: Any, vars_list: Any) -> None:
        for one in vars_list:  # the driver's method would bypass `execute`
            self.execute(query, one)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        super().copy_expert(self.connection.prelude() + sql.encode(), file, size)
        self.connection.has_answered = True


def _bound_transactions(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        driver_connection = cast("BoundedConnection", connection.connection.driver_connection)
        options = connection.get_execution_options()
        driver_connection.begin(writing=options.get("writing", False), checked=options.get("checked", True))


def _bound_lock_waits(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # not a concurrent index build, which has no transaction, and may wait for long ones
        if not cast("psycopg2.extensions.connection", connection.connection.driver_connection).autocommit:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_TIMEOUT_S}s'")


def _open_sqlite(file: Path, *, connections: int, migrating: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin in `begin` below only
        foreign_keys = f"foreign_keys={'OFF' if migrating else 'ON'}"
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", foreign_keys, *PRAGMAS):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine

"""Engines: how each database is opened."""

import sqlite3
from pathlib import Path
from typing import Any, cast

import psycopg2.extensions
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, cursor
from sqlalchemy import URL, Connection, Engine, ExecutionContext, create_engine, event

from intake.errors import DatabaseMissing
from intake.settings import Settings

BUSY_TIMEOUT_MS = 5_000
CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 15
LOCK_TIMEOUT_S = 5
IDLE_TIMEOUT_S = 15
TCP_TIMEOUT_S = 15
# without recursive triggers, an INSERT OR REPLACE would delete an entry of the audit trail unseen by its own
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "recursive_triggers=ON")


def open_engine(settings: Settings, *, connections: int, migrating: bool = False) -> Engine:
    """Open the database that the settings name, with at most `connections` at once.

    Only a migration makes a SQLite file, and it alone runs without foreign keys: with them on, a table that is
    rebuilt would delete its dependents. Raises DatabaseMissing where the file does not exist.
    """
    if (file := settings.sqlite_file) is not None:
        if not migrating and not file.is_file():
            raise DatabaseMissing(f"there is no database at {file}: `intake serve` or `intake migrate` makes one")
        return _open_sqlite(file, connections=connections, migrating=migrating)
    engine = create_engine(
        settings.database_url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,  # they are people's names, and errors are logged
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": TCP_TIMEOUT_S * 1000,
            "application_name": "intake",
            **({} if migrating else {"connection_factory": BoundedConnection, "cursor_factory": _Cursor}),
        },
    )
    if not migrating:
        _bound_transactions(engine)
    return engine


class BoundedConnection(psycopg2.extensions.connection):
    """One whose statements go out together with what bounds them: a round trip of its own costs as much as their work.

    What is written begins a transaction with its first statement. Statements that read are each a transaction by
    itself, as READ COMMITTED shows each of them what is committed then, however they are bracketed.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.autocommit = True  # the driver would begin by itself, in a round trip
        self.has_answered = False
        self._is_writing = False
        self._held: list[bytes] = []
        # for a transaction alone, so that a pooler in transaction mode can stand between
        self._limits = (
            f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; "
            f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s';\n"
        ).encode()

    def begin(self, *, writing: bool) -> None:
        """Let a transaction begin with the next statement; until one has succeeded, `has_answered` is false."""
        self.has_answered, self._is_writing = False, writing

    @property
    def had_ended(self) -> bool:
        """Whether it was gone before anything was done: then the same can be done on another."""
        return bool(self.closed) and not self.has_answered

    def hold(self, statement: bytes) -> None:
        """Let a statement go out with the next one, or with the end.

        Each has lines of its own, since an error shows the line that it is in: no other's names.
        """
        self._held.append(statement + b";\n")

    def prelude(self) -> bytes:
        """Return, once, what is to go before the next statement."""
        opening = self._limits
        if self._is_writing:
            opening = b"" if self.has_answered else b"BEGIN; " + self._limits
        held, self._held = self._held, []
        return b"".join([opening, *held])

    def commit(self) -> None:
        """End what was written, if there is anything."""
        if self._held or self._is_open:
            self._execute(self.prelude() + b"COMMIT")

    def rollback(self) -> None:
        """Undo what was written, if there is anything."""
        self._held = []
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
        for one in vars_list:  # the driver's own would pass by the method above
            self.execute(query, one)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        super().copy_expert(self.connection.prelude() + sql.encode(), file, size)
        self.connection.has_answered = True


def _bound_transactions(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        driver_connection = cast("BoundedConnection", connection.connection.driver_connection)
        driver_connection.begin(writing=connection.get_execution_options().get("writing", False))

    @event.listens_for(engine, "do_execute")
    def hold(cursor: _Cursor, statement: str, parameters: Any, context: ExecutionContext) -> bool:
        is_held: bool = context.execution_options.get("held", False)
        if is_held:
            cursor.connection.hold(cursor.mogrify(statement, parameters))
        return is_held


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
        connection.isolation_level = None  # transactions begin below, and only there
        foreign_keys = f"foreign_keys={'OFF' if migrating else 'ON'}"
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", foreign_keys, *PRAGMAS):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine

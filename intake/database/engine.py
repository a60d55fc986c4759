"""Engines: how each database is opened."""

import sqlite3
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import URL, Connection, Engine, create_engine, event

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
            **({} if migrating else {"connection_factory": _Connection}),
        },
    )
    if not migrating:
        _bound_transactions(engine)
    return engine


class _Connection(psycopg2.extensions.connection):
    """One whose transactions begin where the service says so, and not by themselves in a round trip of their own."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.autocommit = True

    def commit(self) -> None:
        self._end("COMMIT")

    def rollback(self) -> None:
        self._end("ROLLBACK")

    def _end(self, statement: str) -> None:
        if self.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            with self.cursor() as cursor:
                cursor.execute(statement)


def _bound_transactions(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # limits for this transaction alone, so that a pooler in transaction mode can stand between
        connection.exec_driver_sql(
            f"BEGIN; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s';"
            f" SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s';"
            f" SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s'"
        )


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

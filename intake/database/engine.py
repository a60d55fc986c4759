"""Engines: how each database is opened."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from intake.errors import DatabaseMissing
from intake.settings import Settings

BUSY_TIMEOUT_MS = 5_000
CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 5


def open_engine(settings: Settings, *, connections: int, migrating: bool = False) -> Engine:
    """Open the database that the settings name, with at most `connections` at once.

    Only a migration makes a SQLite file, and it alone runs without foreign keys: with them on, a table that is
    rebuilt would delete its dependents. Raises DatabaseMissing where the file does not exist.
    """
    if (file := settings.sqlite_file) is not None:
        if not migrating and not file.is_file():
            raise DatabaseMissing(f"there is no database at {file}: `intake serve` or `intake migrate` makes one")
        return _open_sqlite(file, connections=connections, migrating=migrating)
    return create_engine(
        settings.database_url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,  # a restarted server costs no request an error
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "intake"},
    )


def _open_sqlite(file: Path, *, connections: int, migrating: bool) -> Engine:
    engine = create_engine(f"sqlite:///{file}", pool_size=connections, max_overflow=0, pool_timeout=POOL_TIMEOUT_S)

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, and only there
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"foreign_keys={'OFF' if migrating else 'ON'}",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine

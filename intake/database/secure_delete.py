"""Purging of deleted data from SQLite's free pages and write-ahead log.

SQLite overwrites deleted rows (`secure_delete`), but neither the copies that remain where a row was moved to another
page, nor the write-ahead log. So a transaction that deletes personal data counts up the file's `user_version`, which
nothing else uses. It is reset to 0 once the file has been rewritten and the log is empty.
"""

import sqlite3

from sqlalchemy import Connection

MAX_REWRITE_BYTES = 2**27  # larger files are rewritten on demand only: it blocks all other writers
PURGE_TIMEOUT_MS = 1_000  # for readers; shorter than the timeout of writers, which wait for the purge
_MAX_COUNT = 2**31
# deleted words remain in FTS5's segments until these are merged
_MERGE_INDEX = "INSERT INTO word_index (word_index) VALUES ('optimize')"


def mark_deletion(connection: Connection) -> None:
    """Mark that this transaction deletes data that must be purged from the files."""
    if connection.dialect.name == "sqlite":
        marked = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        connection.exec_driver_sql(f"PRAGMA user_version = {marked % (_MAX_COUNT - 1) + 1}")


def purge_deleted(connection: sqlite3.Connection, *, max_bytes: int | None) -> bool:
    """Rewrite a SQLite file of at most `max_bytes` (None: any size), and empty its log; return whether it is rewritten.

    Raises OperationalError if a writer in another process blocks the rewrite, or a reader the log.
    """
    timeout_ms = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute(f"PRAGMA busy_timeout = {PURGE_TIMEOUT_MS}")
    try:
        marked = _pragma(connection, "user_version")
        try:
            is_rewritten = marked == 0 or _rewrite(connection, max_bytes)
        finally:
            is_emptied = _pragma(connection, "wal_checkpoint(TRUNCATE)") == 0
        if not is_emptied:
            raise sqlite3.OperationalError("a reader needs the write-ahead log")
        if marked and is_rewritten:
            _clear_mark(connection, marked)
        return is_rewritten
    finally:
        connection.execute(f"PRAGMA busy_timeout = {timeout_ms}")


def _rewrite(connection: sqlite3.Connection, max_bytes: int | None) -> bool:
    size = _pragma(connection, "page_count") * _pragma(connection, "page_size")
    if max_bytes is not None and size > max_bytes:
        return False
    connection.execute(_MERGE_INDEX)
    connection.execute("VACUUM")
    return True


def _clear_mark(connection: sqlite3.Connection, marked: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _pragma(connection, "user_version") == marked:  # otherwise more was deleted in the meantime
            connection.execute("PRAGMA user_version = 0")
    finally:
        connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

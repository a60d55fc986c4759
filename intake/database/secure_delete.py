"""What deleted rows leave behind in the database's files, and how it goes.

SQLite overwrites what is deleted (`secure_delete`), but not the copies of it that rows which moved to another page left
behind, nor what stands in its write-ahead log. So a transaction that deletes people's papers notes that in the file's
`user_version`, which nothing else uses; the note goes once the file is rewritten and the log is empty.
"""

import sqlite3

from sqlalchemy import Connection

from intake.database.substring_search import COUNT_SEARCH

REWRITTEN_BYTES = 2**27  # a larger file is not rewritten by itself: others wait to write for as long as that takes
SWEEP_WAITS_MS = 1_000  # for readers; less than others wait to write, who wait for this meanwhile
_MAX_NOTE = 2**31


def note_deletion(connection: Connection) -> None:
    """Note that what is deleted in this transaction is to be swept out of the files."""
    if connection.dialect.name == "sqlite":
        noted = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        connection.exec_driver_sql(f"PRAGMA user_version = {noted % (_MAX_NOTE - 1) + 1}")


def sweep(connection: sqlite3.Connection, *, most_bytes: int | None) -> bool:
    """Sweep a SQLite file of at most `most_bytes` (None: of any size), and return whether no trace is left.

    Of a larger one, and where a reader or a writer is in the way for long, the log alone is emptied, or not even that.
    """
    usual = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute(f"PRAGMA busy_timeout = {SWEEP_WAITS_MS}")
    try:
        noted = _pragma(connection, "user_version")
        is_rewritten = noted == 0 or _rewrite(connection, most_bytes)
        is_emptied = _pragma(connection, "wal_checkpoint(TRUNCATE)") == 0
        if noted and is_rewritten and is_emptied:
            _forget_note(connection, noted)
        return is_rewritten and is_emptied
    finally:
        connection.execute(f"PRAGMA busy_timeout = {usual}")


def _rewrite(connection: sqlite3.Connection, most_bytes: int | None) -> bool:
    size = _pragma(connection, "page_count") * _pragma(connection, "page_size")
    if most_bytes is not None and size > most_bytes:
        return False
    _merge_search(connection)
    connection.execute("VACUUM")
    return True


def _merge_search(connection: sqlite3.Connection) -> None:
    """Rewrite the index of parts of names, in which what is deleted stands until its segments are merged."""
    if connection.execute(COUNT_SEARCH).fetchone()[0]:
        connection.execute("INSERT INTO lead_search (lead_search) VALUES ('optimize')")


def _forget_note(connection: sqlite3.Connection, noted: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _pragma(connection, "user_version") == noted:  # else more was deleted meanwhile
            connection.execute("PRAGMA user_version = 0")
    finally:
        connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

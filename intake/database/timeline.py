"""The timeline of a PostgreSQL server, which changes when a standby is promoted.

A standby may lack the last commits of the server that it replaces. Mails name the ids of these lost leads, so new rows
get ids above them.
"""

import logging

from sqlalchemy import Connection, func, select

PROMOTED = "IN001"  # SQLSTATE of the function refuse_new_timeline
CHECK = b"SELECT refuse_new_timeline();\n"

log = logging.getLogger("intake.database")


def follow(connection: Connection, *, gap: int) -> None:
    """Store the server's timeline; if another one was stored, first raise all sequences by `gap`.

    Concurrent transactions wait for each other, and only the first one raises them.
    """
    stored = connection.execute(select(func.follow_timeline(gap))).scalar()
    if stored is not None:
        log.warning("the database server was promoted (its timeline was %s): skipping %d ids", stored, gap)


def is_known(connection: Connection) -> bool:
    """Return whether a promotion of the database's server is noticed; SQLite has none."""
    return connection.dialect.name == "sqlite" or connection.execute(select(func.wal_timeline())).scalar() is not None

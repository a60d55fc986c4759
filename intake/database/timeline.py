"""The timeline of a PostgreSQL server, which changes when a standby is promoted.

A standby may lack the last commits of the server that it replaces. Mails name the ids of these lost leads, so new rows
get ids above them.
"""

import logging

from sqlalchemy import Connection, func, select, update

from intake.database.schema import installation

PROMOTED = "IN001"  # SQLSTATE of the function refuse_new_timeline
CHECK = b"SELECT refuse_new_timeline();\n"
ADVANCE = (
    "SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass, coalesce(last_value, 0) + %s)"
    " FROM pg_sequences WHERE schemaname = current_schema()"
)

log = logging.getLogger("intake.database")


def follow(connection: Connection, *, gap: int) -> None:
    """Store the server's timeline; if another one was stored, first raise all sequences by `gap`.

    Concurrent transactions wait for each other, and only the first one raises them.
    """
    query = select(installation.c.timeline, func.wal_timeline()).with_for_update()
    stored, current = connection.execute(query).one()
    if stored == current:
        return
    if stored is not None:
        connection.exec_driver_sql(ADVANCE, (gap,))
        log.warning("the database server was promoted (timeline %s after %s): skipping %d ids", current, stored, gap)
    connection.execute(update(installation).values(timeline=current))


def is_known(connection: Connection) -> bool:
    """Return whether a promotion of the database's server is noticed; SQLite has none."""
    return connection.dialect.name == "sqlite" or connection.execute(select(func.wal_timeline())).scalar() is not None

"""Leads by a part of their names or address.

A search needs no index for that, and is quick with one of trigrams. PostgreSQL uses its own (pg_trgm) for LIKE.
SQLite's is a table of FTS5, `lead_search`, whose row ids are those of the leads; triggers keep it. A migration makes
either where it can.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, column, literal_column, or_, select, table

from intake.database.ids import page_by_id
from intake.database.schema import lead

MIN_CHARACTERS = 3  # of a part that trigrams find
LIKE_ESCAPE = "\\"
COUNT_SEARCH = "SELECT count(*) FROM sqlite_master WHERE name = 'lead_search'"  # 1, where there is that table
OPTIONAL = ("lead_search", "ix_lead_parts")  # what a migrated database may lack, and what belongs to it
_KEYS = (lead.c.email_key, lead.c.f_name_key, lead.c.l_name_key)
_SEARCH = table("lead_search", column("rowid"))


def has_part(part: str) -> ColumnElement[bool]:
    """Return the condition that `part`, folded, is in one of a lead's keys."""
    pattern = f"%{like_literal(part)}%"
    return or_(*(key.like(pattern, escape=LIKE_ESCAPE) for key in _KEYS))


def like_literal(text: str) -> str:
    """Return `text` as a pattern of LIKE that stands for itself."""
    for special in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(special, LIKE_ESCAPE + special)
    return text


def has_own_index(connection: Connection, part: str) -> bool:
    """Return whether `ids_with_part` can say which leads have the part."""
    if connection.dialect.name != "sqlite" or len(part) < MIN_CHARACTERS:
        return False
    return bool(connection.exec_driver_sql(COUNT_SEARCH).scalar_one())


def ids_with_part(connection: Connection, part: str, *, after: int | None, newest_first: bool, limit: int) -> list[int]:
    """Return the first `limit` leads, by id, that have the part, going on after one as `page_by_id` does."""
    phrase = '"' + part.replace('"', '""') + '"'
    query = select(_SEARCH.c.rowid).where(literal_column("lead_search").op("MATCH")(phrase))
    page = page_by_id(query, _SEARCH.c.rowid, after=after, newest_first=newest_first, limit=limit)
    return list(connection.scalars(page))


def is_described(name: str | None, kind: str, _parents: Any) -> bool:
    """Return whether the tables in code say all there is to say of it: alembic's `include_name`."""
    return name is None or not name.startswith(OPTIONAL) or kind not in ("table", "index")

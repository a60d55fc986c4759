"""Leads by a part of their names or address.

A search needs no index for that, and is quick with one of trigrams. PostgreSQL uses its own (pg_trgm) for LIKE.
SQLite's is a table of FTS5, `lead_search`, whose row ids are those of the leads; triggers keep it. A migration makes
either where it can.
"""

import json
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, column, literal_column, or_, select, table

from intake.database.ids import page_by_id
from intake.database.schema import lead

MIN_CHARACTERS = 3  # of a part that trigrams find
PROBED_TRIGRAMS = 16  # of a part, so that a long one takes no longer
FEW_ROWS = 1_000  # each of which takes a microsecond to look through, and as much to be counted in a common trigram
LIKE_ESCAPE = "\\"
COUNT_SEARCH = "SELECT count(*) FROM sqlite_master WHERE name = 'lead_search'"  # 1, where there is that table
OPTIONAL = ("lead_search", "ix_lead_parts")  # what a migrated database may lack, and what belongs to it
_KEYS = (lead.c.email_key, lead.c.f_name_key, lead.c.l_name_key)
_SEARCH = table("lead_search", column("rowid"))
_RAREST = """
    SELECT trigram, min(leads) FROM (
        SELECT value AS trigram, (
            SELECT count(*) FROM (SELECT 1 FROM lead_search WHERE lead_search MATCH value LIMIT :few)
        ) AS leads
        FROM json_each(:trigrams)
    )
    WHERE leads < :few
"""


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


def has_rare_trigram(connection: Connection, part: str) -> ColumnElement[bool] | None:
    """Return the condition that a lead has a trigram of the part that few have; None: there is none.

    All of a part's trigrams together take the index many times as long: it walks through the common ones as well.
    """
    starts = range(len(part) - MIN_CHARACTERS + 1)[:PROBED_TRIGRAMS]
    trigrams = [_phrase(part[start : start + MIN_CHARACTERS]) for start in starts]
    given = {"trigrams": json.dumps(trigrams), "few": FEW_ROWS}
    rarest = connection.exec_driver_sql(_RAREST, given).scalar()
    return None if rarest is None else lead.c.id.in_(_ids_with(rarest))


def ids_with_part(connection: Connection, part: str, *, after: int | None, newest_first: bool, limit: int) -> list[int]:
    """Return the first `limit` leads, by id, that have the part, going on after one as `page_by_id` does."""
    query = _ids_with(_phrase(part))
    page = page_by_id(query, _SEARCH.c.rowid, after=after, newest_first=newest_first, limit=limit)
    return list(connection.scalars(page))


def _ids_with(phrase: str) -> Select[tuple[int]]:
    return select(_SEARCH.c.rowid).where(literal_column("lead_search").op("MATCH")(phrase))


def _phrase(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def is_described(name: str | None, kind: str, _parents: Any) -> bool:
    """Return whether the tables in code say all there is to say of it: alembic's `include_name`."""
    return name is None or not name.startswith(OPTIONAL) or kind not in ("table", "index")

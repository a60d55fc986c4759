"""Substring search in names and email addresses.

It works without an index, and fast with a trigram index. PostgreSQL uses pg_trgm for LIKE. SQLite uses the FTS5 table
`lead_search`, whose row ids are lead ids; triggers update it. A migration creates either if the database supports it.
"""

import json
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, column, literal_column, or_, select, table

from intake.database.ids import page_by_id
from intake.database.schema import lead

MIN_CHARACTERS = 3  # that a trigram index can find
PROBED_TRIGRAMS = 16  # so that long texts take no longer
FEW_ROWS = 1_000  # reading a row takes a microsecond, and so does counting it in a common trigram
LIKE_ESCAPE = "\\"
COUNT_SEARCH = "SELECT count(*) FROM sqlite_master WHERE name = 'lead_search'"  # 1 if the table exists
OPTIONAL = ("lead_search", "ix_lead_parts")  # objects, by prefix, that a migrated database may lack
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
    """Return the condition that a key of the lead contains `part`, which is normalized."""
    pattern = f"%{like_literal(part)}%"
    return or_(*(key.like(pattern, escape=LIKE_ESCAPE) for key in _KEYS))


def like_literal(text: str) -> str:
    """Escape `text` for a LIKE pattern."""
    for special in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(special, LIKE_ESCAPE + special)
    return text


def has_own_index(connection: Connection, part: str) -> bool:
    """Return whether `ids_with_part` can find the part."""
    if connection.dialect.name != "sqlite" or len(part) < MIN_CHARACTERS:
        return False
    return bool(connection.exec_driver_sql(COUNT_SEARCH).scalar_one())


def rare_trigram_condition(connection: Connection, part: str) -> ColumnElement[bool] | None:
    """Return the condition that a lead contains the part's rarest trigram, or None if all are common.

    Matching all trigrams of the part would take many times as long, because the index also reads the common ones.
    """
    starts = range(len(part) - MIN_CHARACTERS + 1)[:PROBED_TRIGRAMS]
    trigrams = [_phrase(part[start : start + MIN_CHARACTERS]) for start in starts]
    given = {"trigrams": json.dumps(trigrams), "few": FEW_ROWS}
    rarest = connection.exec_driver_sql(_RAREST, given).scalar()
    return None if rarest is None else lead.c.id.in_(_ids_with(rarest))


def ids_with_part(connection: Connection, part: str, *, after: int | None, newest_first: bool, limit: int) -> list[int]:
    """Return a page of the ids of leads that contain the part, as `page_by_id` does."""
    query = _ids_with(_phrase(part))
    page = page_by_id(query, _SEARCH.c.rowid, after=after, newest_first=newest_first, limit=limit)
    return list(connection.scalars(page))


def _ids_with(phrase: str) -> Select[tuple[int]]:
    return select(_SEARCH.c.rowid).where(literal_column("lead_search").op("MATCH")(phrase))


def _phrase(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def is_described(name: str | None, kind: str, _parents: Any) -> bool:
    """Return whether the schema in code describes an object: alembic's `include_name`."""
    return name is None or not name.startswith(OPTIONAL) or kind not in ("table", "index")

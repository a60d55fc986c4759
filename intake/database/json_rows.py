"""Fast serialization of rows as JSON objects, for lists of up to a million rows.

SQLAlchemy takes several times as long per row as the driver. SQLite therefore builds the JSON itself, faster than its
driver creates Python values. On PostgreSQL, orjson is faster than the database.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import JSON, Column, ColumnElement, Connection, Label, Select, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from intake.database.clock import UtcDateTime

Rows = Sequence[tuple[Any, ...]]
NamedColumn = Column[Any] | Label[Any]


class FieldValues(FunctionElement[Any]):
    """The values of a lead's own fields as a JSON object, in the order of their keys."""

    type = JSON()
    inherit_cache = True


@compiles(FieldValues, "postgresql")
def _values_on_postgresql(_element: FieldValues, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "(SELECT coalesce(json_object_agg(key, value ORDER BY key), '{}') FROM lead_field WHERE lead_id = lead.id)"


@compiles(FieldValues, "sqlite")
def _values_on_sqlite(_element: FieldValues, _compiler: SQLCompiler, **_kw: Any) -> str:
    values = "SELECT key, value FROM lead_field WHERE lead_id = lead.id ORDER BY key"
    return f"json((SELECT json_group_object(key, value) FROM ({values})))"  # noqa: S608 - no parameters


class JsonChunk(NamedTuple):
    """Comma-separated objects, the id of the last one (None if empty), and whether more rows follow."""

    json: bytes
    last_id: int | None
    has_more: bool


class JsonRowSerializer:
    """Serializes rows of these columns; the first one is the id. Timestamps are written as RFC 3339 in UTC.

    `to_dicts` turns rows into dictionaries where the database does not build the JSON.
    """

    def __init__(self, columns: Sequence[NamedColumn], to_dicts: Callable[[Rows], Sequence[object]]) -> None:
        self._to_dicts = to_dicts
        self._values = [func.timezone("UTC", column) if _is_timestamp(column) else column for column in columns]
        pairs = [part for column in columns for part in (literal_column(f"'{column.name}'"), _json_value(column))]
        self._objects = [columns[0], func.json_object(*pairs)]

    def read(self, connection: Connection, query: Select[Any], *, limit: int) -> JsonChunk:
        """Return the first `limit` rows of a query, which must read one more to detect that more follow."""
        if connection.dialect.name == "sqlite":
            rows = _driver_rows(connection, query.with_only_columns(*self._objects))
            json = ",".join([text for _, text in rows[:limit]]).encode()
        else:
            rows = _driver_rows(connection, query.with_only_columns(*self._values))
            json = orjson.dumps(self._to_dicts(rows[:limit]), option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)[1:-1]
        return JsonChunk(json, rows[:limit][-1][0] if rows else None, len(rows) > limit)


def _driver_rows(connection: Connection, query: Select[Any]) -> Rows:
    cursor = connection.execute(query).cursor
    assert cursor is not None
    return cursor.fetchall()


def _is_timestamp(column: NamedColumn) -> bool:
    return isinstance(column.type, UtcDateTime)


def _json_value(column: NamedColumn) -> ColumnElement[Any]:
    """Return SQLite's expression; like orjson, it omits the six digits of a fraction that is zero."""
    if not _is_timestamp(column):
        return column
    return literal_column(f"replace(replace({column}, ' ', 'T') || 'Z', '.000000Z', 'Z')")

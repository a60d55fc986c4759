"""Rows as JSON objects, in as few steps as can be for each: a list may have a million of them.

SQLAlchemy's work for each row takes several times what a driver takes to read it. So SQLite writes the objects itself,
in less time than its driver needs to make values of them; PostgreSQL would take longer for that than orjson does.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Column, ColumnElement, Connection, Select, func, literal_column

from intake.database.clock import UtcDateTime

Rows = Sequence[tuple[Any, ...]]


class JsonChunk(NamedTuple):
    """Objects with commas between, the id of the last (None: there are none), and whether there were more to read."""

    json: bytes
    last_id: int | None
    has_more: bool


class JsonRowSerializer:
    """How rows of these columns, of which the first is an id, are written as JSON; moments as RFC 3339 in UTC.

    `shaped` makes dictionaries of rows, where that is not left to the database.
    """

    def __init__(self, columns: Sequence[Column[Any]], shaped: Callable[[Rows], Sequence[object]]) -> None:
        self._shaped = shaped
        self._values = [func.timezone("UTC", one) if _is_moment(one) else one for one in columns]
        pairs = [part for one in columns for part in (literal_column(f"'{one.name}'"), _in_json(one))]
        self._objects = [columns[0], func.json_object(*pairs)]

    def read(self, connection: Connection, query: Select[Any], *, most: int) -> JsonChunk:
        """Return the first `most` rows of a query; it should ask for one more, since that is how more are seen."""
        if connection.dialect.name == "sqlite":
            rows = _driver_rows(connection, query.with_only_columns(*self._objects))
            json = ",".join([text for _, text in rows[:most]]).encode()
        else:
            rows = _driver_rows(connection, query.with_only_columns(*self._values))
            json = orjson.dumps(self._shaped(rows[:most]), option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)[1:-1]
        return JsonChunk(json, rows[:most][-1][0] if rows else None, len(rows) > most)


def _driver_rows(connection: Connection, query: Select[Any]) -> Rows:
    cursor = connection.execute(query).cursor
    assert cursor is not None
    return cursor.fetchall()


def _is_moment(column: Column[Any]) -> bool:
    return isinstance(column.type, UtcDateTime)


def _in_json(column: Column[Any]) -> ColumnElement[Any]:
    """Return what SQLite writes; its moments are text with six digits, which orjson leaves out where all are 0."""
    if not _is_moment(column):
        return column
    return literal_column(f"replace(replace({column}, ' ', 'T') || 'Z', '.000000Z', 'Z')")

"""Ids in statements: thousands of them as one parameter, and pages that go on from one."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Text, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import BigInteger


def is_among(column: Column[int], ids: Collection[int]) -> ColumnElement[bool]:
    """Return the condition that the column's value is one of the ids."""
    return column.op("IN", is_comparison=True)(_Listed(literal(json.dumps(list(ids)), Text)))


def page_by_id(
    query: Select[Any], column: ColumnElement[int], *, after: int | None, newest_first: bool, limit: int
) -> Select[Any]:
    """Return the query for up to `limit` rows in the order of ids, going on after one, downward if newest first."""
    query = query.order_by(column.desc() if newest_first else column).limit(limit)
    if after is None:
        return query
    return query.where(column < after if newest_first else column > after)


class _Listed(FunctionElement[int]):
    """The numbers of a JSON array, as a subquery."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Listed, "postgresql")
def _listed_on_postgresql(element: _Listed, compiler: SQLCompiler, **kw: Any) -> str:
    array = compiler.process(element.clauses, **kw)
    return f"(SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST({array} AS JSON)))"  # noqa: S608 - the array is a parameter


@compiles(_Listed, "sqlite")
def _listed_on_sqlite(element: _Listed, compiler: SQLCompiler, **kw: Any) -> str:
    array = compiler.process(element.clauses, **kw)
    return f"(SELECT value FROM json_each({array}))"  # noqa: S608 - the array is a parameter

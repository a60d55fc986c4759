"""Ids in statements: many as one parameter, pagination by id, and rows without locks."""

import json
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, Column, ColumnElement, Select, Text, case, func, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import BigInteger

from intake.request_models import PageQuery

BOUNDED_ROWS = 2_000


def is_among(column: Column[int], ids: Collection[int]) -> ColumnElement[bool]:
    """Return the condition that the column's value is one of the ids."""
    return column.op("IN", is_comparison=True)(_JsonArray(literal(json.dumps(list(ids)), Text)))


def unlocked(query: Select[Any]) -> CTE:
    """Return the rows that no other transaction has locked, and lock them."""
    # MATERIALIZED: a subquery can run again for each row, past its limit
    return query.with_for_update(skip_locked=True).cte("unlocked").prefix_with("MATERIALIZED", dialect="postgresql")


def page_by_id(
    query: Select[Any], column: ColumnElement[int], *, after: int | None, newest_first: bool, limit: int
) -> Select[Any]:
    """Return the query for a page of up to `limit` rows by id, after an id, descending if newest first."""
    query = query.order_by(column.desc() if newest_first else column).limit(limit)
    if after is None:
        return query
    return query.where(column < after if newest_first else column > after)


def page_and_next(statement: Select[Any], column: ColumnElement[int], page: PageQuery) -> Select[Any]:
    """Return the statement for a page's rows and the first row of the next page."""
    return page_by_id(statement, column, after=page.after, newest_first=page.newest_first, limit=page.limit + 1)


def within(
    column: Column[int],
    timestamp: Column[datetime],
    *,
    since: datetime | None,
    until: datetime | None,
    after: int | None,
    newest_first: bool,
) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that limit a page by id to rows from `since` on and before `until`."""
    if since is not None:
        yield timestamp >= since
        if after is None or newest_first:
            yield _lower_bound(column, timestamp, since, newest_first=newest_first)
    if until is not None:
        yield timestamp < until


def _lower_bound(
    column: Column[int], timestamp: Column[datetime], since: datetime, *, newest_first: bool
) -> ColumnElement[bool]:
    """Return a lower bound of the ids of all rows since then, found in the index on the timestamp.

    Without it, SQLite scans all ids before the list's first row, or after its last one. Newest first, each page
    computes the bound, so it reads at most BOUNDED_ROWS rows: with more rows, most pages are full anyway. The sum
    prevents both databases from scanning by id here.
    """
    rows = select((column + 0).label("id")).where(timestamp >= since)
    if not newest_first:
        found = rows.subquery()
        return column >= select(func.min(found.c.id)).scalar_subquery()
    found = rows.limit(BOUNDED_ROWS).subquery()
    lowest = case((func.count() < BOUNDED_ROWS, func.min(found.c.id)), else_=0)
    return column >= select(lowest).select_from(found).scalar_subquery()


class _JsonArray(FunctionElement[int]):
    """The numbers of a JSON array as a subquery."""

    type = BigInteger()
    inherit_cache = True


@compiles(_JsonArray, "postgresql")
def _json_array_on_postgresql(element: _JsonArray, compiler: SQLCompiler, **kw: Any) -> str:
    array = compiler.process(element.clauses, **kw)
    return f"(SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST({array} AS JSON)))"  # noqa: S608 - the array is a parameter


@compiles(_JsonArray, "sqlite")
def _json_array_on_sqlite(element: _JsonArray, compiler: SQLCompiler, **kw: Any) -> str:
    array = compiler.process(element.clauses, **kw)
    return f"(SELECT value FROM json_each({array}))"  # noqa: S608 - the array is a parameter

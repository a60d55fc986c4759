"""Ids in statements: thousands of them as one parameter, and pages that go on from one."""

import json
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Text, case, func, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import BigInteger

from intake.request_models import PageQuery

BOUNDED_ROWS = 2_000


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


def page_and_next(statement: Select[Any], column: ColumnElement[int], page: PageQuery) -> Select[Any]:
    """Return the statement for a page's rows and the first row of the next page."""
    return page_by_id(statement, column, after=page.after, newest_first=page.newest_first, limit=page.limit + 1)


def within(
    column: Column[int],
    moment: Column[datetime],
    *,
    since: datetime | None,
    until: datetime | None,
    after: int | None,
    newest_first: bool,
) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that a page by id, going on after one, is from `since` on and before `until`."""
    if since is not None:
        yield moment >= since
        if after is None or newest_first:
            yield _lower_bound(column, moment, since, newest_first=newest_first)
    if until is not None:
        yield moment < until


def _lower_bound(
    column: Column[int], moment: Column[datetime], since: datetime, *, newest_first: bool
) -> ColumnElement[bool]:
    """Return a condition that holds of every row since then, for a list in the order of ids that goes on to its end.

    The least id of those, from the index on the moment: without it, SQLite walks along all ids to a list's beginning,
    or on from its end. Newest first, each page asks for it, and so among up to BOUNDED_ROWS alone: where there are
    more, most pages are full. The sum keeps both databases from walking along ids here.
    """
    rows = select((column + 0).label("id")).where(moment >= since)
    if not newest_first:
        found = rows.subquery()
        return column >= select(func.min(found.c.id)).scalar_subquery()
    found = rows.limit(BOUNDED_ROWS).subquery()
    least = case((func.count() < BOUNDED_ROWS, func.min(found.c.id)), else_=0)
    return column >= select(least).select_from(found).scalar_subquery()


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

"""Timestamps in UTC by the database's clock, the same on both databases."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Date, DateTime, Dialect, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Float, TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A timestamp, always in UTC when read; SQLite stores it as sortable text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert an aware timestamp to UTC; SQLite stores it without a time zone."""
        if value is None:
            return None
        timestamp = value.astimezone(UTC)
        return timestamp.replace(tzinfo=None) if dialect.name == "sqlite" else timestamp

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the timestamp in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Now(FunctionElement[datetime]):
    """The time at which the statement began, by the database's clock, plus `plus_s` seconds."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, *, plus_s: float = 0.0) -> None:
        super().__init__(literal(plus_s, Float))


class UtcHour(FunctionElement[str]):
    """The current hour in UTC, such as `2026-11-29 06`."""

    type = String()
    inherit_cache = True


class UtcDay(FunctionElement[date]):
    """The day of a timestamp, in UTC."""

    type = Date()
    inherit_cache = True

    def __init__(self, timestamp: ColumnElement[datetime]) -> None:
        super().__init__(timestamp)


@compiles(Now, "postgresql")
def _now_on_postgresql(element: Now, compiler: SQLCompiler, **kw: Any) -> str:
    # statement_timestamp() is stable, so indexes can be used; unlike now(), it is current after waiting for a lock
    return f"(statement_timestamp() + {compiler.process(element.clauses, **kw)} * interval '1 second')"


@compiles(Now, "sqlite")
def _now_on_sqlite(element: Now, compiler: SQLCompiler, **kw: Any) -> str:
    # six digits, as SQLAlchemy writes them, because timestamps compare as text
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {compiler.process(element.clauses, **kw)} || ' seconds')"


@compiles(UtcHour, "postgresql")
def _hour_on_postgresql(_element: UtcHour, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')"


@compiles(UtcHour, "sqlite")
def _hour_on_sqlite(_element: UtcHour, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "strftime('%Y-%m-%d %H', 'now')"


@compiles(UtcDay, "postgresql")
def _day_on_postgresql(element: UtcDay, compiler: SQLCompiler, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AT TIME ZONE 'UTC' AS date)"


@compiles(UtcDay, "sqlite")
def _day_on_sqlite(element: UtcDay, compiler: SQLCompiler, **kw: Any) -> str:
    # date() rounds the last half millisecond of a day up
    return f"substr({compiler.process(element.clauses, **kw)}, 1, 10)"

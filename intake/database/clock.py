"""Time by the database's clock, in UTC, alike on both databases."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Date, DateTime, Dialect, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Float, TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment with its time zone, always UTC when read; SQLite keeps it as text that sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into UTC; SQLite has no time zones, so none is kept there."""
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Now(FunctionElement[datetime]):
    """The moment at which the statement began, by the database's clock, `plus_s` seconds later."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, *, plus_s: float = 0.0) -> None:
        super().__init__(literal(plus_s, Float))


class UtcDay(FunctionElement[date]):
    """The day on which a moment is, in UTC."""

    type = Date()
    inherit_cache = True

    def __init__(self, moment: ColumnElement[datetime]) -> None:
        super().__init__(moment)


@compiles(Now, "postgresql")
def _now_on_postgresql(element: Now, compiler: SQLCompiler, **kw: Any) -> str:
    # statement_timestamp() is stable, so an index on a moment can be used; after a lock's wait it is later than now()
    return f"(statement_timestamp() + {compiler.process(element.clauses, **kw)} * interval '1 second')"


@compiles(Now, "sqlite")
def _now_on_sqlite(element: Now, compiler: SQLCompiler, **kw: Any) -> str:
    # six digits, as SQLAlchemy writes them: moments compare as text
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {compiler.process(element.clauses, **kw)} || ' seconds')"


@compiles(UtcDay, "postgresql")
def _day_on_postgresql(element: UtcDay, compiler: SQLCompiler, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AT TIME ZONE 'UTC' AS date)"


@compiles(UtcDay, "sqlite")
def _day_on_sqlite(element: UtcDay, compiler: SQLCompiler, **kw: Any) -> str:
    return f"date({compiler.process(element.clauses, **kw)})"

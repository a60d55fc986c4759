"""A new lead and the rows that refer to it, in one statement on PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    ClauseElement,
    ColumnElement,
    Connection,
    Executable,
    Insert,
    Table,
    bindparam,
    insert,
    literal,
    literal_column,
    null,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from intake.database.schema import Id, lead
from intake.database.transactions import CACHED_STATEMENTS, insertion

# with the marks of the drivers' named parameters
_DIALECTS: Mapping[str, Any] = {
    "postgresql": postgresql.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
    "sqlite": sqlite.dialect(paramstyle="named"),
}


@dataclass(frozen=True, eq=False)
class LeadTable:
    """Rows of a table with a column `lead_id`; `values` are the same in each row.

    An existing row with the same primary key that satisfies `replacing` is replaced, and left as it is otherwise.
    Build each LeadTable once, because statements are cached by it.
    """

    table: Table
    values: Mapping[str, object] = field(default_factory=dict)
    replacing: ColumnElement[bool] | None = None


Row = Mapping[str, object]
Rows = tuple[LeadTable, Sequence[Row]]  # each row with the same columns, without `lead_id`
_Shape = tuple[LeadTable, tuple[str, ...], int]  # columns, and the number of rows
_Process = Callable[[object], object]
_Statement = tuple[str, Mapping[str, object], Mapping[str, _Process]]  # SQL, constants, conversions for the driver


class IsWritten(FunctionElement[bool]):
    """Whether the new lead's row of a LeadTable with `replacing`, earlier in the list, was written."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, table: Table) -> None:
        super().__init__(literal_column(table.name))


class _LeadId(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True


@compiles(IsWritten, "postgresql")
def _is_written_on_postgresql(element: IsWritten, compiler: SQLCompiler, **kw: Any) -> str:
    return f"EXISTS (SELECT FROM written_{compiler.process(element.clauses, **kw)})"


@compiles(IsWritten, "sqlite")
def _is_written_on_sqlite(element: IsWritten, compiler: SQLCompiler, **kw: Any) -> str:
    return f"EXISTS (SELECT 1 FROM {compiler.process(element.clauses, **kw)} WHERE lead_id = :lead_id)"  # noqa: S608


@compiles(_LeadId, "postgresql")
def _lead_id_on_postgresql(_element: _LeadId, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "(SELECT id FROM new_lead)"


@compiles(_LeadId, "sqlite")
def _lead_id_on_sqlite(_element: _LeadId, _compiler: SQLCompiler, **_kw: Any) -> str:
    return ":lead_id"


def insert_lead(connection: Connection, row: Row, rows: Sequence[Rows]) -> int:
    """Insert a lead and its rows, in their order, and return its id."""
    if connection.dialect.name == "postgresql":
        return _insert_together(connection, _prefixed(row, "lead"), tuple(row), rows)
    driver_connection = connection.connection.driver_connection
    lead_id: int = _executed(driver_connection, _one_by_one(None, tuple(row)), _prefixed(row, "new")).lastrowid
    insert_rows(connection, lead_id, rows)
    return lead_id


def insert_rows(connection: Connection, lead_id: int, rows: Sequence[Rows]) -> None:
    """Insert rows of a lead that exists, in their order."""
    if connection.dialect.name == "postgresql":
        _insert_together(connection, {"lead_id": lead_id}, None, rows)
        return
    driver_connection = connection.connection.driver_connection
    for table, values in rows:
        for row in values:
            _executed(driver_connection, _one_by_one(table, tuple(row)), {**_prefixed(row, "new"), "lead_id": lead_id})


def _insert_together(
    connection: Connection, values: dict[str, object], columns: tuple[str, ...] | None, rows: Sequence[Rows]
) -> int:
    shapes = tuple((table, tuple(given[0]), len(given)) for table, given in rows if given)
    for number, given in enumerate(given for _, given in rows if given):
        for index, row in enumerate(given):
            values |= _prefixed(row, f"{number}_{index}")
    cursor: Any = connection.connection.cursor()
    with cursor:
        _executed(cursor, _together(columns, shapes), values)
        return int(cursor.fetchone()[0])


def _prefixed(row: Row, prefix: str) -> dict[str, object]:
    return {f"{prefix}_{name}": value for name, value in row.items()}


@lru_cache(CACHED_STATEMENTS)
def _together(columns: tuple[str, ...] | None, shapes: tuple[_Shape, ...]) -> _Statement:
    """Return PostgreSQL's statement; without `columns` the lead exists."""
    if columns is None:
        new = select(bindparam("lead_id", type_=Id).label("id")).cte("new_lead")
    else:
        new = insert(lead).values(_values(lead, columns, "lead")).returning(lead.c.id).cte("new_lead")
    # one part for each table: PostgreSQL may run parts in any order, and mails get their ids in the order of the rows
    by_table = groupby(enumerate(shapes), lambda entry: entry[1][0].table)
    return _compiled("postgresql", select(new.c.id).add_cte(new, *(_part(table, list(e)) for table, e in by_table)))


def _part(table: Table, entries: Sequence[tuple[int, _Shape]]) -> CTE:
    """Return the insertion of consecutive rows of one table, by their number in the list."""
    rows = [
        _related_values(kind, columns, f"{number}_{index}")
        for number, (kind, columns, count) in entries
        for index in range(count)
    ]
    every = dict.fromkeys(name for row in rows for name in row)
    first = entries[0][1][0]
    part = _insert("postgresql", first).values([{name: row.get(name, null()) for name in every} for row in rows])
    if first.replacing is None:
        return part.cte(f"new_{table.name}")
    return part.returning(table.c.lead_id).cte(f"written_{table.name}")


@lru_cache(CACHED_STATEMENTS)
def _one_by_one(table: LeadTable | None, columns: tuple[str, ...]) -> _Statement:
    """Return SQLite's statement for one row of a table, or of the lead table if None."""
    if table is None:
        return _compiled("sqlite", insert(lead).inline().values(_values(lead, columns, "new")))
    return _compiled("sqlite", _insert("sqlite", table).values(_related_values(table, columns, "new")))


def _insert(dialect: str, table: LeadTable) -> Insert:
    is_new = table.replacing is None
    return (insert(table.table) if is_new else insertion(dialect, table.table, table.replacing)).inline()


def _related_values(table: LeadTable, columns: Sequence[str], prefix: str) -> dict[str, ClauseElement]:
    return _values(table.table, columns, prefix, {**table.values, "lead_id": _LeadId()})


def _values(
    table: Table, columns: Sequence[str], prefix: str, constants: Mapping[str, object] | None = None
) -> dict[str, ClauseElement]:
    """Return parameters for the columns, the constants, and defaults, which only SQLAlchemy would add."""
    fixed: dict[str, Any] = {c.name: c.default.arg for c in table.c if c.default is not None}  # type: ignore[attr-defined]
    fixed |= constants or {}
    literals = {n: v if isinstance(v, ClauseElement) else literal(v, table.c[n].type) for n, v in fixed.items()}
    return literals | {name: bindparam(f"{prefix}_{name}", type_=table.c[name].type) for name in columns}


def _compiled(name: str, statement: Executable) -> _Statement:
    dialect = _DIALECTS[name]
    compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    processes = {
        key: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, key in compiled.bind_names.items()
    }
    constants = {key: value for key, value in compiled.params.items() if value is not None}
    return str(compiled), constants, {key: process for key, process in processes.items() if process}


def _executed(cursor: Any, statement: _Statement, values: dict[str, object]) -> Any:
    """Execute a statement with these values, and return the cursor."""
    sql, constants, processes = statement
    values |= constants
    for name, process in processes.items():
        values[name] = process(values[name])
    return cursor.execute(sql, values)

"""One stream of records, many faces: a table for people, lines, CSV and JSON for programs."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TextIO

from leadctl.errors import UsageError
from leadctl.output.escapes import escape_control, escape_json, safe_cell

Record = Mapping[str, Any]

LEAD_COLUMNS = ("id", "email", "f_name", "l_name", "CV_name", "state", "created_at")  # the API's order
OUTCOME_COLUMNS = ("id", "result", "state")  # of what a change does to a lead

FLUSH_EVERY = 1000  # as long as a page: what has come is not held back while the next one is waited for


class OutputFormat(StrEnum):
    """How records are shown."""

    TABLE = "table"  # for people
    PLAIN = "plain"  # fields between tabs, a line for each record
    JSON = "json"  # the API's own array
    NDJSON = "ndjson"  # an object on each line
    CSV = "csv"  # RFC 4180, with a header
    IDS = "ids"  # an id on each line


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How a list is shown: its face, and what of each record.

    `only` takes the other members away from JSON objects, too; `header` is for plain lines; `raw` leaves CSV as it is.
    """

    face: OutputFormat
    columns: Sequence[str]
    only: bool = False
    header: bool = False
    raw: bool = False


def chosen(text: str, known: Sequence[str]) -> Sequence[str]:
    """Return the columns that a text like `id,email` names. Raises Usage where there is no such one."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"there is no column {unknown[0]!r}; the columns are {', '.join(known)}")
    return names


def write_lines(made: Iterable[str], *, out: TextIO, flush_every: int = FLUSH_EVERY) -> None:
    """Write lines as they are made: the first is seen at once, and the rest while they come."""
    for number, line in enumerate(made, 1):
        out.write(line)
        if number == 1 or number % flush_every == 0:
            out.flush()


def lines(records: Iterable[Record], look: OutputOptions) -> Iterator[str]:
    """Yield the lines that show the records."""
    return _FACES[look.face](records, look)


def write_record(record: Record, *, face: OutputFormat, out: TextIO) -> None:
    """Write one record: a name and a value on each line, its JSON object, or what a list of it alone would be."""
    out.writelines(_record_lines(record, face))


def _record_lines(record: Record, face: OutputFormat) -> Iterable[str]:
    if face is OutputFormat.TABLE:
        from leadctl.output.tables import record_lines  # noqa: PLC0415 - it imports rich

        return record_lines(record)
    if face is OutputFormat.PLAIN:
        return (f"{escape_control(name)}\t{escape_control(value)}\n" for name, value in record.items())
    return lines(
        [record], OutputOptions(face=OutputFormat.NDJSON if face is OutputFormat.JSON else face, columns=list(record))
    )


def _table(records: Iterable[Record], look: OutputOptions) -> Iterator[str]:
    from leadctl.output.tables import table_lines  # noqa: PLC0415 - it imports rich: 50 ms, which a pipe need not wait for

    return table_lines(records, look.columns, keep_all=look.only)


def _plain(records: Iterable[Record], look: OutputOptions) -> Iterator[str]:
    if look.header:
        yield "\t".join(look.columns) + "\n"
    for record in records:
        yield "\t".join([escape_control(record.get(column)) for column in look.columns]) + "\n"


def _json(records: Iterable[Record], look: OutputOptions) -> Iterator[str]:
    before = "["
    for record in records:
        yield before + escape_json(_shown(record, look))
        before = ",\n"
    yield "]\n" if before != "[" else "[]\n"


def _ndjson(records: Iterable[Record], look: OutputOptions) -> Iterator[str]:
    return (escape_json(_shown(record, look)) + "\n" for record in records)


def _shown(record: Record, look: OutputOptions) -> Record:
    return {column: record.get(column) for column in look.columns} if look.only else record


def _csv(records: Iterable[Record], look: OutputOptions) -> Iterator[str]:
    import csv  # noqa: PLC0415 - for this face alone
    import io  # noqa: PLC0415

    made = io.StringIO(newline="")
    # where the system's streams make CR LF of LF, they are left to it
    writer = csv.writer(made, lineterminator="\r\n" if os.linesep == "\n" else "\n")

    def line(cells: Iterable[object]) -> str:
        made.seek(0)
        made.truncate()
        writer.writerow(cells)
        return made.getvalue()

    cell = _raw_cell if look.raw else safe_cell
    yield line(map(cell, look.columns))
    for record in records:
        yield line([cell(record.get(column)) for column in look.columns])


def _raw_cell(value: object) -> str:
    return "" if value is None else str(value)


def _ids(records: Iterable[Record], _look: OutputOptions) -> Iterator[str]:
    return (f"{escape_control(record['id'])}\n" for record in records)


_FACES: Mapping[OutputFormat, Callable[[Iterable[Record], OutputOptions], Iterator[str]]] = {
    OutputFormat.TABLE: _table,
    OutputFormat.PLAIN: _plain,
    OutputFormat.JSON: _json,
    OutputFormat.NDJSON: _ndjson,
    OutputFormat.CSV: _csv,
    OutputFormat.IDS: _ids,
}

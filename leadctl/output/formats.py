"""Output formats: tables, tab-separated lines, CSV and JSON from one stream of records."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from types import SimpleNamespace
from typing import Any, TextIO

from leadctl.errors import UsageError
from leadctl.output.columns import FIELD, OWN_FIELD
from leadctl.output.escapes import escape_control, escape_json, safe_cell

Record = Mapping[str, Any]

FLUSH_EVERY = 1000  # a page of the API, so that no received record waits for the next page


class OutputFormat(StrEnum):
    """Output formats of a list."""

    TABLE = "table"  # for people
    PLAIN = "plain"  # a line for each record, fields separated by tabs
    JSON = "json"  # the API's own array
    NDJSON = "ndjson"  # an object on each line
    CSV = "csv"  # RFC 4180, with a header
    IDS = "ids"  # an id on each line


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Output format and columns of a list.

    `is_selection` limits JSON objects to the columns too. `header` is for plain lines; `raw` CSV is not escaped;
    with `headings`, tables have readable ones, and with `has_exact_times` no relative times; `layout` writes records
    for people in another form than a table.
    """

    output_format: OutputFormat
    columns: Sequence[str]
    is_selection: bool = False
    header: bool = False
    raw: bool = False
    headings: Mapping[str, str] | None = None
    has_exact_times: bool = False
    layout: Callable[[Iterable[Record]], Iterator[str]] | None = None

    @property
    def is_json(self) -> bool:
        """Whether records are written whole, with nested members."""
        return self.output_format in (OutputFormat.JSON, OutputFormat.NDJSON)


def parse_columns(text: str, known: Sequence[str]) -> Sequence[str]:
    """Return the column names in a text such as `id,email`, in either case. Raises UsageError for an unknown one."""
    by_lower_case = {name.lower(): name for name in known if name != FIELD}
    given = (name.strip() for name in text.split(","))
    names = list(dict.fromkeys(by_lower_case.get(name.lower(), name) for name in given))
    own = [name for name in names if FIELD in known and OWN_FIELD.fullmatch(name)]
    if unknown := [name for name in names if name not in {*by_lower_case.values(), *own}]:
        from difflib import get_close_matches  # noqa: PLC0415 - only after an error

        closest = sorted(by_lower_case[one] for one in get_close_matches(unknown[0].lower(), by_lower_case, 2, 0.75))
        meant = f" (did you mean {' or '.join(closest)}?)" if closest else ""
        raise UsageError(f"unknown column {unknown[0]!r}{meant}; the columns are {', '.join(known)}")
    return names


def write_lines(lines: Iterable[str], *, out: TextIO, flush_every: int = FLUSH_EVERY) -> None:
    """Write lines as they arrive; flush after the first, so that it is seen at once."""
    for number, line in enumerate(lines, 1):
        out.write(line)
        if number == 1 or number % flush_every == 0:
            out.flush()


def lines(records: Iterable[Record], options: OutputOptions) -> Iterator[str]:
    """Yield the records as lines of the output format."""
    return _FORMATTERS[options.output_format](records, options)


def member_lines(
    record: Record, output_format: OutputFormat, headings: Mapping[str, str] | None = None
) -> Iterable[str]:
    """Return a line for each member of a record, a JSON object, or a list of one; see record_lines() for `headings`."""
    if output_format is OutputFormat.TABLE:
        from leadctl.output.tables import record_lines  # noqa: PLC0415 - it imports rich

        return record_lines(record, headings)
    if output_format is OutputFormat.PLAIN:
        return (f"{escape_control(name)}\t{escape_control(value)}\n" for name, value in record.items())
    list_format = OutputFormat.NDJSON if output_format is OutputFormat.JSON else output_format
    return lines([record], OutputOptions(output_format=list_format, columns=list(record)))


def _table(records: Iterable[Record], options: OutputOptions) -> Iterator[str]:
    if options.layout is not None and not options.is_selection:
        return options.layout(records)
    from leadctl.output.tables import table_lines  # noqa: PLC0415 - importing rich takes 50 ms

    return table_lines(
        records,
        options.columns,
        keep_all=options.is_selection,
        headings=options.headings,
        has_exact_times=options.has_exact_times,
    )


def _plain(records: Iterable[Record], options: OutputOptions) -> Iterator[str]:
    if options.header:
        yield "\t".join(options.columns) + "\n"
    for record in records:
        yield "\t".join([escape_control(record.get(column)) for column in options.columns]) + "\n"


def _json(records: Iterable[Record], options: OutputOptions) -> Iterator[str]:
    separator = "["
    for record in records:
        yield separator + escape_json(_members(record, options))
        separator = ",\n"
    yield "]\n" if separator != "[" else "[]\n"


def _ndjson(records: Iterable[Record], options: OutputOptions) -> Iterator[str]:
    return (escape_json(_members(record, options)) + "\n" for record in records)


def _members(record: Record, options: OutputOptions) -> Record:
    return {column: record.get(column) for column in options.columns} if options.is_selection else record


def _csv(records: Iterable[Record], options: OutputOptions) -> Iterator[str]:
    import csv  # noqa: PLC0415 - only for this format

    echo = SimpleNamespace(write=lambda line: line)  # writerow() returns what write() returns
    # on Windows the stream turns LF into CR LF
    writer = csv.writer(echo, lineterminator="\r\n" if os.linesep == "\n" else "\n")
    for cells in chain([options.columns], ([record.get(name) for name in options.columns] for record in records)):
        yield writer.writerow(cells if options.raw else map(safe_cell, cells))


def _ids(records: Iterable[Record], _options: OutputOptions) -> Iterator[str]:
    return (f"{escape_control(record['id'])}\n" for record in records)


_FORMATTERS: Mapping[OutputFormat, Callable[[Iterable[Record], OutputOptions], Iterator[str]]] = {
    OutputFormat.TABLE: _table,
    OutputFormat.PLAIN: _plain,
    OutputFormat.JSON: _json,
    OutputFormat.NDJSON: _ndjson,
    OutputFormat.CSV: _csv,
    OutputFormat.IDS: _ids,
}

"""One stream of records, many faces: a table for people, lines and JSON for programs."""

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import Any, TextIO

Record = Mapping[str, Any]

LEAD_COLUMNS = ("id", "email", "f_name", "l_name", "CV_name", "state", "created_at")  # the API's order

_JOINERS = "\u200c\u200d"  # Persian names and emoji need them
# A lead can't be worked on without the first two; the third is as good as nothing when it is cut.
_KEPT_WHOLE = ("id", "state", "created_at")
_NARROW_COLUMNS = 72  # below it, the third gives way


class Face(StrEnum):
    """How records are shown."""

    TABLE = "table"  # for people
    PLAIN = "plain"  # fields between tabs, a line for each record
    JSON = "json"  # the API's own array
    IDS = "ids"  # an id on each line


def write_records(records: Iterable[Record], columns: Sequence[str], *, face: Face, out: TextIO) -> None:
    """Write the records as they come (a table: once all have come)."""
    out.writelines(_FACES[face](records, columns))


def write_record(record: Record, *, face: Face, out: TextIO) -> None:
    """Write one record: a name and a value on each line, or its JSON object."""
    if face is Face.JSON:
        out.write(_json(record) + "\n")
    elif face is Face.IDS:
        out.write(f"{record['id']}\n")
    else:
        separator = "\t" if face is Face.PLAIN else "  "
        width = 0 if face is Face.PLAIN else max(map(len, record))
        out.writelines(f"{visible(name):<{width}}{separator}{visible(value)}\n" for name, value in record.items())


def visible(value: object) -> str:
    """Return the value's text on one line (None: nothing), with what a terminal would obey written as an escape."""
    return "" if value is None else "".join(map(_visible, str(value)))


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS
    return character.encode("unicode_escape").decode("ascii") if hidden else character


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json_lines(records: Iterable[Record], _columns: Sequence[str]) -> Iterator[str]:
    before = "["
    for record in records:
        yield before + _json(record)
        before = ",\n"
    yield "]\n" if before != "[" else "[]\n"


def _plain_lines(records: Iterable[Record], columns: Sequence[str]) -> Iterator[str]:
    for record in records:
        yield "\t".join(visible(record[column]) for column in columns) + "\n"


def _id_lines(records: Iterable[Record], _columns: Sequence[str]) -> Iterator[str]:
    return (f"{record['id']}\n" for record in records)


def _table(records: Iterable[Record], columns: Sequence[str]) -> Iterator[str]:
    # rich takes 50 ms to import, which a pipe need not wait for
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    whole = _KEPT_WHOLE if console.width >= _NARROW_COLUMNS else _KEPT_WHOLE[:2]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # what may not wrap is shrunk last; the rest is, and its one line is then cut with an ellipsis
        table.add_column(Text(column, no_wrap=True, overflow="ellipsis"), no_wrap=column in whole)
    for record in records:
        cells = (_cell(column, record[column]) for column in columns)
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
    with console.capture() as capture:
        console.print(table)
    yield capture.get()


def _cell(column: str, value: object) -> str:
    if column == "created_at":
        with suppress(ValueError):  # to the minute, on this machine's clock; programs get RFC 3339
            return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M")
    return visible(value)


_FACES: Mapping[Face, Callable[[Iterable[Record], Sequence[str]], Iterator[str]]] = {
    Face.TABLE: _table,
    Face.PLAIN: _plain_lines,
    Face.JSON: _json_lines,
    Face.IDS: _id_lines,
}

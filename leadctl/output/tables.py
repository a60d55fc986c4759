"""Tables that fit the terminal. Imported on demand, since importing rich takes 50 ms."""

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from zlib import crc32

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from leadctl.output.cautions import type_name
from leadctl.output.columns import STATE_COLUMNS, heading
from leadctl.output.escapes import escape_control
from leadctl.times import format_age, format_exact, format_relative, is_timestamp

Record = Mapping[str, Any]
Span = tuple[str, str]  # text and rich style

ROWS = 1000  # laid out together, so that memory does not grow with the list
_GAP = "  "
_MIN_CELLS = 8  # a narrower column is dropped
_EMAIL_CELLS = 24  # a longer address that has fewer is hard to recognize; it gets the cells of the file name
_LONG_TEXTS = ("email", "recipient", "last_error")
_LESS_THAN_ADDRESSES = ("attempts", "kind", "CV_name")  # dropped before one of _LONG_TEXTS gets fewer cells
_DROPPED_FIRST = (*_LESS_THAN_ADDRESSES, "created_at", "f_name")
_SHARES = {"email": 2, "recipient": 1.6, "last_error": 1.6, "CV_name": 0.8}  # relative widths; other columns have 1
_WHOLE = ("id", "action", *STATE_COLUMNS)  # never cut or dropped
_COLOURS = {
    "PENDING": "yellow",
    "REACHED_OUT": "cyan",
    "ENGAGED": "green",
    "DECLINED": "red",
    "queued": "yellow",
    "sent": "green",
    "failed": "red",
    "suppressed": "bright_black",
}
_OTHER_COLOURS = ("magenta", "blue", "bright_cyan", "bright_magenta", "bright_yellow", "bright_green", "bright_blue")
_TYPICAL = {"id": 6, "state": 11, "created_at": 8, "email": 32, "f_name": 14, "l_name": 18, "CV_name": 24}  # cells
_LEFT_TO_RIGHT = "\u200e"  # mark that separates a right-to-left text from its neighbours


def table_lines(
    records: Iterable[Record],
    columns: Sequence[str],
    *,
    keep_all: bool = False,
    headings: Mapping[str, str] | None = None,
    has_exact_times: bool = False,
) -> Iterator[str]:
    """Yield the lines of a table, at most as wide as the terminal.

    Unless `keep_all`, columns that would be too narrow are dropped, empty ones first, and on a terminal a last line
    names them.
    """
    room, texts = terminal_width(), _Texts(has_exact_times=has_exact_times)
    is_terminal = sys.stdout.isatty()
    head = {column: heading(column, headings) for column in columns}
    needs = {column: cell_width(text) for column, text in head.items()}
    needs_header = True
    for rows in _chunks(texts.of(record, columns) for record in records):
        needs = {c: max(need, *(cell_width(row[c]) for row in rows), 0) for c, need in needs.items()}
        empty = [column for column in columns if not any(row[column] for row in rows)]
        shown = _widths(needs, room, keep_all=keep_all, empty=empty)
        if is_terminal and not rows:  # the list command prints a message, such as "No leads match"
            return
        first = [_line(head, shown, dict.fromkeys(shown, "bold"))] if needs_header else []
        needs_header = False
        yield from render([*first, *(_line(row, shown, _styles(row)) for row in rows)])
    dropped = ", ".join(column for column in columns if column not in shown)
    if dropped and is_terminal:
        yield from render([[(f"(not shown: {dropped})", "bright_black")]])


def record_lines(record: Record, headings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield a line for each member of a record; with headings, only those meant for people, in human-readable units."""
    texts = _Texts()
    shown = [name for name in record if headings is None or texts.is_readable(name, record[name])]
    names = {name: escape_control(heading(name, headings)) for name in shown}
    margin = max(map(cell_width, names.values()), default=0)
    for name, label in names.items():
        text = (texts.whole if headings is None else texts.human)(name, record[name])
        yield from render([[(f"{label:<{margin}}{_GAP}", "bold"), (marked(text), style(name, text))]])


def streaming_lines(records: Iterable[Record], columns: Sequence[str]) -> Iterator[str]:
    """Yield a line for each record as it arrives; columns grow if a value is wider than is typical."""
    needs = {column: _TYPICAL.get(column, _MIN_CELLS) for column in columns}
    for record in records:
        texts = {c: _time_of_day(record.get(c)) if is_timestamp(c) else escape_control(record.get(c)) for c in columns}
        needs = {c: max(need, cell_width(texts[c])) if _is_whole(c) else need for c, need in needs.items()}
        yield from render([_line(texts, _widths(needs, terminal_width(), keep_all=False), _styles(texts))])


def render(lines: Iterable[Sequence[Span | Text]]) -> Iterator[str]:
    """Yield the lines with the styles that standard output supports."""
    console = Console(soft_wrap=True)
    with console.capture() as capture:
        for line in lines:
            console.print(Text.assemble(*line), highlight=False, soft_wrap=True)
    yield from capture.get().splitlines(keepends=True)


def terminal_width() -> int | None:
    """Return the width from COLUMNS or the terminal, in cells; None if output is not a terminal."""
    columns = shutil.get_terminal_size((0, 0)).columns
    return columns or (80 if sys.stdout.isatty() else None)


def cell_width(text: str) -> int:
    """Return the width of the text in cells."""
    # most terminals give spacing marks (common in Devanagari) a cell of their own
    return cell_len(text) + sum(unicodedata.category(c) == "Mc" for c in ("" if text.isascii() else text))


def readable_cell(column: str, value: object) -> str:
    """Return a value as text, as a table shows it."""
    return _Texts().of({column: value}, [column])[column]


def style(column: str, text: str) -> str:
    """Return the style of a value; each state always has the same colour."""
    if column not in STATE_COLUMNS or not text:
        return "bright_black" if is_timestamp(column) else ""
    return _COLOURS.get(text) or _OTHER_COLOURS[crc32(text.encode()) % len(_OTHER_COLOURS)]


class _Texts:
    """Values as text, with relative times on a terminal."""

    def __init__(self, *, has_exact_times: bool = False) -> None:
        self._has_exact_times = has_exact_times
        self._now = datetime.now().astimezone()
        self._is_terminal = sys.stdout.isatty()

    def of(self, record: Record, columns: Sequence[str]) -> dict[str, str]:
        return {column: self._cell(column, record.get(column)) for column in columns}

    def whole(self, column: str, value: object) -> str:
        text, short = escape_control(value), self._cell(column, value)
        return f"{text} ({short})" if short != text else text

    def human(self, column: str, value: object) -> str:
        if isinstance(value, int) and column.endswith("_size"):
            return decimal(value)
        text = escape_control(type_name(str(value)) if column == "CV_detected_type" else value)
        return format_age(text, self._now) if is_timestamp(column) else text

    @staticmethod
    def is_readable(column: str, value: object) -> bool:
        return value not in (None, "") and column != "CV_sha256"

    def _cell(self, column: str, value: object) -> str:
        text = escape_control(value)
        if not (self._is_terminal and is_timestamp(column)):
            return text
        return format_exact(text) if self._has_exact_times else format_relative(text, self._now)


def _chunks(rows: Iterator[dict[str, str]]) -> Iterator[Sequence[dict[str, str]]]:
    """Yield the rows in chunks of ROWS, at least one chunk."""
    chunk = list(islice(rows, ROWS))
    yield chunk
    while chunk := list(islice(rows, ROWS)):
        yield chunk


def _styles(row: Mapping[str, str]) -> Mapping[str, str]:
    return {column: style(column, text) for column, text in row.items()}


def _line(texts: Mapping[str, str], widths: Mapping[str, int], styles: Mapping[str, str]) -> Sequence[Span]:
    spans: list[Span] = []
    padding = 0
    for column, size in widths.items():
        text = cut(texts[column], size)
        gap = " " * padding + _GAP if spans else ""  # no padding after the last column
        padding = size - cell_width(text)
        spans += [(gap, ""), (marked(text), styles[column])]
    return spans


def cut(text: str, size: int) -> str:
    """Return the text, shortened to at most `size` cells."""
    left = text if cell_width(text) <= size else None
    kept = max(size - 1, 0)
    while left is None or cell_width(left) > size:
        left = set_cell_size(text, kept).rstrip() + "…"
        kept -= 1
    return left


def _time_of_day(value: object) -> str:
    try:
        then = datetime.fromisoformat(str(value)).astimezone()
    except (ValueError, OverflowError):
        return escape_control(value)
    is_today = then.date() == datetime.now().astimezone().date()
    return then.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")


def marked(text: str) -> str:
    """Return the text; marks around right-to-left text keep it from reordering its neighbours."""
    is_right_to_left = not text.isascii() and any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
    return f"{_LEFT_TO_RIGHT}{text}{_LEFT_TO_RIGHT}" if is_right_to_left else text


def _widths(needs: Mapping[str, int], room: int | None, *, keep_all: bool, empty: Sequence[str] = ()) -> dict[str, int]:
    """Distribute the width: columns in _WHOLE get what they need, the others at most an equal share of the rest."""
    if room is None:
        return dict(needs)
    shown = dict(needs)
    for column in [] if keep_all else _drop_order(list(needs), empty):
        least = _capped(shown, _MIN_CELLS)
        if column in (*empty, *_LESS_THAN_ADDRESSES):
            least |= {name: min(shown[name], _EMAIL_CELLS) for name in _LONG_TEXTS if name in shown}
        if _total(least) <= room:
            break
        del shown[column]
    cap = max(shown.values())
    while cap > 1 and _total(_capped(shown, cap)) > room:
        cap -= 1
    return _capped(shown, cap)


def _is_whole(column: str) -> bool:
    return column in _WHOLE or is_timestamp(column)


def _capped(needs: Mapping[str, int], cap: int) -> dict[str, int]:
    return {c: need if _is_whole(c) else min(need, int(cap * _SHARES.get(c, 1)) or 1) for c, need in needs.items()}


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _drop_order(columns: Sequence[str], empty: Sequence[str]) -> Sequence[str]:
    order = dict.fromkeys((*(column for column in reversed(empty) if column not in _WHOLE), *_DROPPED_FIRST))
    first = [column for column in order if column in columns]
    return first + [column for column in reversed(columns) if column not in (*_WHOLE, *first)]

"""Tables that fit their terminal; imported only when one is shown, since rich takes its time."""

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
from rich.text import Text

from leadctl.output.escapes import escape_control
from leadctl.times import format_relative, is_timestamp

Record = Mapping[str, Any]
Piece = tuple[str, str]  # a text, and rich's name of a style

ROWS = 1000  # laid out together: memory does not grow with the list
_GAP = "  "
_LEAST = 8  # cells: below it a column says too little to be worth its room
_GIVE_WAY_FIRST = ("CV_name", "created_at", "f_name")
_SHARES = {"email": 1.6, "recipient": 1.6, "last_error": 1.6, "CV_name": 0.8}  # of what there is; others have 1
_STATES = ("state", "from_state", "to_state", "from", "to", "result", "status")
_WHOLE = ("id", "action", *_STATES)  # a record can't be worked on without them
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
_USUAL = {"id": 6, "state": 11, "created_at": 8, "email": 32, "f_name": 14, "l_name": 18, "CV_name": 24}  # cells
_LEFT_TO_RIGHT = "\u200e"  # a mark: what stands beside it is not drawn into a right-to-left text


def table_lines(records: Iterable[Record], columns: Sequence[str], *, keep_all: bool = False) -> Iterator[str]:
    """Yield a table's lines, as wide as the terminal at most.

    Unless `keep_all`, columns that would be too narrow are left out, and a last line tells a person which.
    """
    room, texts = width(), _Texts()
    needs = {column: cells(column) for column in columns}
    head_is_due = True
    for rows in _chunks(texts.of(record, columns) for record in records):
        needs = {c: max(need, *(cells(row[c]) for row in rows), 0) for c, need in needs.items()}
        shown = _widths(needs, room, keep_all=keep_all)
        head = [_line({c: c for c in shown}, shown, dict.fromkeys(shown, "bold"))] if head_is_due else []
        head_is_due = False
        yield from painted([*head, *(_line(row, shown, _styles(row)) for row in rows)])
    left_out = ", ".join(column for column in columns if column not in shown)
    if left_out and sys.stdout.isatty():
        yield from painted([[(f"(not shown: {left_out})", "bright_black")]])


def record_lines(record: Record) -> Iterator[str]:
    """Yield a line for each member of a record."""
    margin, texts = max(cells(escape_control(name)) for name in record), _Texts()
    for name, value in record.items():
        text = texts.whole(name, value)
        yield from painted([[(f"{escape_control(name):<{margin}}{_GAP}", "bold"), (_marked(text), style(name, text))]])


def running_lines(records: Iterable[Record], columns: Sequence[str]) -> Iterator[str]:
    """Yield a line for each record as it comes, in columns that grow where what comes is wider than usual."""
    needs = {column: _USUAL.get(column, _LEAST) for column in columns}
    for record in records:
        texts = {c: _time_of_day(record.get(c)) if is_timestamp(c) else escape_control(record.get(c)) for c in columns}
        needs = {c: max(need, cells(texts[c])) if _is_whole(c) else need for c, need in needs.items()}
        yield from painted([_line(texts, _widths(needs, width(), keep_all=False), _styles(texts))])


def painted(lines: Iterable[Sequence[Piece]]) -> Iterator[str]:
    """Yield the lines with their styles, as far as standard output has any."""
    console = Console(soft_wrap=True)
    with console.capture() as capture:
        for line in lines:
            console.print(Text.assemble(*line), highlight=False, soft_wrap=True)
    yield from capture.get().splitlines(keepends=True)


def width() -> int | None:
    """Return the cells in a line: COLUMNS, else the terminal's (None: it is none, and there is no bound)."""
    columns = shutil.get_terminal_size((0, 0)).columns
    return columns or (80 if sys.stdout.isatty() else None)


def cells(text: str) -> int:
    """Return how many cells the text takes."""
    # most terminals give the marks that stand beside a letter a cell of their own; Devanagari has many
    return cell_len(text) + sum(unicodedata.category(c) == "Mc" for c in ("" if text.isascii() else text))


def style(column: str, text: str) -> str:
    """Return how a value is coloured: each state has a colour of its own, always the same."""
    if column not in _STATES or not text:
        return "bright_black" if is_timestamp(column) else ""
    return _COLOURS.get(text) or _OTHER_COLOURS[crc32(text.encode()) % len(_OTHER_COLOURS)]


class _Texts:
    """Values as they are shown: moments as it suits whoever reads."""

    def __init__(self) -> None:
        self._now = datetime.now().astimezone()
        self._for_a_person = sys.stdout.isatty()

    def of(self, record: Record, columns: Sequence[str]) -> dict[str, str]:
        return {column: self._cell(column, record.get(column)) for column in columns}

    def whole(self, column: str, value: object) -> str:
        text, short = escape_control(value), self._cell(column, value)
        return f"{text} ({short})" if short != text else text

    def _cell(self, column: str, value: object) -> str:
        text = escape_control(value)
        return format_relative(text, self._now) if self._for_a_person and is_timestamp(column) else text


def _chunks(rows: Iterator[dict[str, str]]) -> Iterator[Sequence[dict[str, str]]]:
    """Yield the rows, so many at once; where there are none, that once."""
    chunk = list(islice(rows, ROWS))
    yield chunk
    while chunk := list(islice(rows, ROWS)):
        yield chunk


def _styles(row: Mapping[str, str]) -> Mapping[str, str]:
    return {column: style(column, text) for column, text in row.items()}


def _line(texts: Mapping[str, str], widths: Mapping[str, int], styles: Mapping[str, str]) -> Sequence[Piece]:
    pieces: list[Piece] = []
    padding = 0
    for column, size in widths.items():
        text = _cut(texts[column], size)
        before = " " * padding + _GAP if pieces else ""  # and nothing after the last
        padding = size - cells(text)
        pieces += [(before, ""), (_marked(text), styles[column])]
    return pieces


def _cut(text: str, size: int) -> str:
    left = text if cells(text) <= size else None
    kept = max(size - 1, 0)
    while left is None or cells(left) > size:
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


def _marked(text: str) -> str:
    """Return the text, kept from reordering what stands around it if it is written from right to left."""
    is_right_to_left = not text.isascii() and any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
    return f"{_LEFT_TO_RIGHT}{text}{_LEFT_TO_RIGHT}" if is_right_to_left else text


def _widths(needs: Mapping[str, int], room: int | None, *, keep_all: bool) -> dict[str, int]:
    """Share the room: what must be whole gets what it needs, the others their shares, and none more than it needs."""
    if room is None:
        return dict(needs)
    shown = dict(needs)
    for column in [] if keep_all else _leaving_order(list(needs)):
        if _total(_capped(shown, _LEAST)) <= room:
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


def _leaving_order(columns: Sequence[str]) -> Sequence[str]:
    first = [column for column in _GIVE_WAY_FIRST if column in columns]
    return first + [column for column in reversed(columns) if column not in (*_WHOLE, *first)]

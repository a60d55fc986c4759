"""A long text as lines, of which only the visible ones are escaped and wrapped."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len, chop_cells

from leadctl.output.escapes import escape_control

MAX_LINE = 2000  # characters; a longer line is split, so that one line can be wrapped quickly
_TAB = 8


class Place(NamedTuple):
    """A row: the number of its line, and the offset of its first character in that line."""

    line: int = 0
    offset: int = 0


class Pages:
    """A text with the offsets at which its pages start; rows are addressed by Place, whatever the width."""

    def __init__(self, text: str, starts: Sequence[int] = ()) -> None:
        self.lines: list[str] = []
        self._offsets: list[int] = []
        self._starts, self._size = starts, len(text)
        offset = 0
        for line in text.split("\n"):
            for part in _split(line):
                self.lines.append(part)
                self._offsets.append(offset)
                offset += len(part)
            offset += 1

    def rows(self, line: int, width: int) -> list[str]:
        """Return a line's rows; their concatenation is the escaped line."""
        return wrap(self.lines[line], width)

    def at(self, place: Place, width: int) -> Place:
        """Return the place of the row that contains this character."""
        start = 0
        for row in self.rows(place.line, width):
            if start + len(row) > place.offset:
                break
            start += len(row)
        else:
            start -= len(row)
        return Place(place.line, max(start, 0))

    def below(self, place: Place, width: int) -> Iterator[tuple[Place, str]]:
        """Yield the rows from the place on."""
        for number in range(place.line, len(self.lines)):
            offset = 0
            for row in self.rows(number, width):
                if number > place.line or offset >= place.offset:
                    yield Place(number, offset), row
                offset += len(row)

    def above(self, place: Place, width: int) -> Iterator[Place]:
        """Yield the places of the rows above, nearest first."""
        for number in range(place.line, -1, -1):
            offset, places = 0, []
            for row in self.rows(number, width):
                if number < place.line or offset < place.offset:
                    places.append(Place(number, offset))
                offset += len(row)
            yield from reversed(places)

    def moved(self, place: Place, rows: int, *, width: int, height: int) -> Place:
        """Return the place that is `rows` below, or above if negative; the last page stays full."""
        for step, above in enumerate(self.above(place, width) if rows < 0 else (), 1):
            place = above
            if step == -rows:
                break
        for step, (below, _) in enumerate(self.below(place, width) if rows > 0 else ()):
            place = below
            if step == rows:
                break
        return min(place, self.last(width=width, height=height))

    def last(self, *, width: int, height: int) -> Place:
        """Return the first row of the last page."""
        end = Place(len(self.lines) - 1, sum(map(len, self.rows(len(self.lines) - 1, width))) + 1)
        place = Place()
        for step, place in enumerate(self.above(end, width), 1):  # noqa: B007 - the last one is used
            if step == height:
                break
        return place

    def matches(self, pattern: re.Pattern[str]) -> list[Place]:
        """Return the places of all matches in the escaped lines."""
        return [
            Place(number, found.start())
            for number, line in enumerate(self.lines)
            for found in pattern.finditer(_escaped(line))
        ]

    def position(self, place: Place, bottom: Place) -> str:
        """Return the page of a place, and how much of the text is above or on the screen, such as `page 1/3  38%`."""
        shown = self._offsets[bottom.line] + len(self.lines[bottom.line])
        percent = f"{100 * min(shown, self._size) // max(self._size, 1)}%"
        if len(self._starts) < 2:
            return percent
        page = bisect_right(self._starts, self._offsets[place.line] + place.offset)
        return f"page {max(page, 1)}/{len(self._starts)}  {percent}"


def _split(line: str) -> Iterator[str]:
    """Yield a line in parts of at most MAX_LINE characters, split at spaces if possible."""
    while len(line) > MAX_LINE:
        cut = line.rfind(" ", MAX_LINE // 2, MAX_LINE) + 1 or MAX_LINE
        yield line[:cut]
        line = line[cut:]
    yield line


def _escaped(line: str) -> str:
    return escape_control(line.expandtabs(_TAB))


@lru_cache(1024)
def wrap(line: str, width: int) -> list[str]:
    """Return the rows of an escaped line, broken between words if possible."""
    rows, row, used = [], "", 0
    for word in re.findall(r"\S+\s*|\s+", _escaped(line)):
        size = cell_len(word.rstrip())
        if used and used + size > width:
            rows.append(row)
            row, used = "", 0
        if used + size <= width:
            row, used = row + word, used + cell_len(word)  # blanks at the end of a row may exceed the width
            continue
        *whole, row = chop_cells(word, width)
        rows += whole
        used = cell_len(row)
    return [*rows, row] if row or not rows else rows

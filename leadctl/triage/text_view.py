"""The widget that shows a long text, wrapping only the visible rows."""

import re
from bisect import bisect_left, bisect_right
from itertools import islice

from rich.segment import Segment
from rich.style import Style
from textual.events import MouseScrollDown, MouseScrollUp, Resize
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from leadctl.output.escapes import escape_control
from leadctl.triage.pages import Pages, Place

WHEEL_ROWS = 3
_MATCH = Style(reverse=True)
_PLAIN = Style()
_NO_MATCH = Place(-1)


class TextView(Widget):
    """Shows a text from a place on, and scrolls by rows."""

    class Scrolled(Message):
        """Another part of the text is shown."""

    def __init__(self) -> None:
        super().__init__(id="text")
        self.pages, self.top = Pages(""), Place()
        self.words = ""  # which are marked in each text
        self._wanted, self._pattern = "", _compile()
        self._match = _NO_MATCH  # which was shown last
        self._shown: list[tuple[Place, str]] = []

    def show(self, pages: Pages, top: Place | None = None) -> None:
        """Show another text, from its start or from `top`."""
        self.pages, self._match, self._wanted = pages, _NO_MATCH, self.words
        self._pattern = _compile(*sorted(self.words.split(), key=len, reverse=True))  # the longest of several wins
        self._move_to(top or Place())

    def scroll_rows(self, rows: int) -> None:
        self._move_to(self.pages.moved(self.top, rows, width=self._columns, height=self._rows))

    def scroll_pages(self, count: int) -> None:
        self.scroll_rows(count * max(1, self._rows - 1))

    def scroll_to_start(self) -> None:
        self._move_to(Place())

    def scroll_to_end(self) -> None:
        self._move_to(self.pages.last(width=self._columns, height=self._rows))

    def search(self, text: str, *, backwards: bool = False) -> str:
        """Mark all matches and show the next or previous one, below a row of its context.

        Returns its number, or what is wrong.
        An empty text repeats the last search.
        """
        if text:
            self._wanted, self._pattern = text, _compile(text)
        if self._pattern is None:
            return "nothing to search for: type a word after /"
        found = self.pages.matches(self._pattern)
        if not found:
            self.refresh()
            return f"not found: {escape_control(self._wanted)}"
        is_next = not text and self._is_shown(self._match)
        after = self._match if is_next else Place(self.top.line, self.top.offset - 1)
        number = (bisect_left(found, after) - 1 if backwards else bisect_right(found, after)) % len(found)
        self._match = found[number]
        row = self.pages.at(self._match, self._columns)
        self._move_to(next(self.pages.above(row, self._columns), row))
        return f"match {number + 1} of {len(found)}"

    @property
    def position(self) -> str:
        """The page, and how much of the text has been shown."""
        return self.pages.position(self.top, self._shown[-1][0] if self._shown else self.top)

    def on_resize(self, _event: Resize) -> None:
        self._move_to(self.pages.at(self.top, self._columns))

    def on_mouse_scroll_down(self, _event: MouseScrollDown) -> None:
        self.scroll_rows(WHEEL_ROWS)

    def on_mouse_scroll_up(self, _event: MouseScrollUp) -> None:
        self.scroll_rows(-WHEEL_ROWS)

    def render_line(self, y: int) -> Strip:
        row = self._shown[y][1].rstrip() if y < len(self._shown) else ""
        return Strip(_segments(row, self._pattern)).crop(0, self._columns)

    @property
    def _columns(self) -> int:
        return max(self.size.width, 2)

    @property
    def _rows(self) -> int:
        return max(self.size.height, 1)

    def _is_shown(self, place: Place) -> bool:
        (line, offset), row = self._shown[-1] if self._shown else (self.top, "")
        return self.top <= place < (line, offset + len(row))

    def _move_to(self, place: Place) -> None:
        self.top = place
        self._shown = list(islice(self.pages.below(place, self._columns), self._rows))
        self.refresh()
        self.post_message(self.Scrolled())


def _compile(*words: str) -> re.Pattern[str] | None:
    """Return a pattern with one group, which matches any of the words and ignores case; None without words."""
    return re.compile(f"({'|'.join(map(re.escape, words))})", re.IGNORECASE) if words else None


def _segments(row: str, pattern: re.Pattern[str] | None) -> list[Segment]:
    """Return a row with its matches marked."""
    parts = pattern.split(row) if pattern else [row]
    return [Segment(part, _MATCH if number % 2 else _PLAIN) for number, part in enumerate(parts) if part]

"""The widget that shows a long text, wrapping only the visible rows."""

import re
from itertools import islice

from rich.segment import Segment
from rich.style import Style
from textual.events import MouseScrollDown, MouseScrollUp, Resize
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from leadctl.triage.pages import Pages, Place

WHEEL_ROWS = 3
_MATCH = Style(reverse=True)
_PLAIN = Style()


class TextView(Widget):
    """Shows a text from a place on, and scrolls by rows."""

    class Scrolled(Message):
        """Another part of the text is shown."""

    def __init__(self) -> None:
        super().__init__(id="text")
        self.pages, self.top, self._needle = Pages(""), Place(), ""
        self._shown: list[tuple[Place, str]] = []

    def show(self, pages: Pages, top: Place | None = None) -> None:
        """Show another text, from its start or from `top`."""
        self.pages, self._needle = pages, ""
        self._move_to(top or Place())

    def scroll_rows(self, rows: int) -> None:
        self._move_to(self.pages.moved(self.top, rows, width=self._columns, height=self._rows))

    def scroll_pages(self, count: int) -> None:
        self.scroll_rows(count * max(1, self._rows - 1))

    def scroll_to_start(self) -> None:
        self._move_to(Place())

    def scroll_to_end(self) -> None:
        self._move_to(self.pages.last(width=self._columns, height=self._rows))

    def search(self, text: str) -> bool:
        """Show and mark the next match below the first row, or above; an empty text repeats the last search."""
        self._needle = text or self._needle
        found = self.pages.find(self._needle, self.top, self._columns) if self._needle else None
        if found:
            self._move_to(self.pages.at(found, self._columns))
        return found is not None

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
        return Strip(_segments(row, self._needle)).crop(0, self._columns)

    @property
    def _columns(self) -> int:
        return max(self.size.width, 2)

    @property
    def _rows(self) -> int:
        return max(self.size.height, 1)

    def _move_to(self, place: Place) -> None:
        self.top = place
        self._shown = list(islice(self.pages.below(place, self._columns), self._rows))
        self.refresh()
        self.post_message(self.Scrolled())


def _segments(row: str, needle: str) -> list[Segment]:
    """Return a row with its matches marked."""
    parts = re.split(f"({re.escape(needle)})", row, flags=re.IGNORECASE) if needle else [row]
    return [Segment(part, _MATCH if number % 2 else _PLAIN) for number, part in enumerate(parts) if part]

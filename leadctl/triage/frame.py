"""The layout of the screen: title, facts, text, message and keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Key
from textual.widgets import Input, Static

from leadctl.triage import drawing
from leadctl.triage.drawing import Item
from leadctl.triage.facts import Facts
from leadctl.triage.text_view import TextView


@dataclass(frozen=True)
class View:
    """Contents of the frame around the text."""

    position: str
    facts: Facts | None
    who: str
    is_first_state: bool
    label: str
    message: str
    is_notice: bool
    is_input: bool
    items: Sequence[Item]


class AnswerField(Input):
    """Takes one answer. Keys that arrive with its Enter are dropped: the next question may be for a password."""

    is_answered = False

    async def _on_key(self, event: Key) -> None:
        if self.is_answered:
            event.stop()
            event.prevent_default()
            return
        self.is_answered = event.key == "enter"
        await super()._on_key(event)


class Frame(Vertical):
    """The whole screen: facts beside the text on a wide terminal, otherwise above it."""

    DEFAULT_CSS = """
    Frame { layout: vertical; height: 100%; }
    Frame #title, Frame .rule { height: 1; }
    Frame #top, Frame #keys, Frame #small { height: auto; }
    Frame #body { height: 1fr; }
    Frame #side { height: 100%; border-right: solid ansi_bright_black; padding: 0 1; }
    Frame #text { width: 1fr; height: 100%; padding: 0 1; }
    Frame #message { height: auto; padding: 0 1; min-height: 1; max-height: 4; }
    Frame #input { height: 1; border: none; padding: 0 1; background: ansi_default; display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = TextView()
        self.rows: list[list[Item]] = [[]]

    def compose(self) -> ComposeResult:
        yield Static(id="small")
        yield Static(id="title")
        yield Static(id="top")
        yield Static(id="rule-top", classes="rule")
        with Horizontal(id="body"):
            yield Static(id="side")
            yield self.text
        yield Static(id="rule-bottom", classes="rule")
        yield Static(id="message")
        yield Static(id="keys")
        yield AnswerField(id="input", select_on_focus=False)

    @property
    def is_small(self) -> bool:
        """Whether the terminal is too small to decide on anything."""
        columns, rows = self.app.size
        return columns < drawing.MIN_COLUMNS or rows < drawing.MIN_ROWS

    @property
    def is_composed(self) -> bool:
        """Whether there is anything to draw on."""
        return bool(self.query(AnswerField))

    @property
    def input(self) -> AnswerField:
        return self.query_one(AnswerField)

    def draw(self, view: View) -> None:
        """Show the view in the present size of the terminal."""
        columns, is_wide = self.app.size.width, self.app.size.width >= drawing.WIDE
        for child in self.children:
            child.styles.display = "none" if self.is_small == (child.id != "small") else "block"
        smallest = f"{drawing.MIN_COLUMNS} columns and {drawing.MIN_ROWS} lines"
        self._put("small", Content(f" Enlarge the window to at least {smallest}. q quits."))
        if self.is_small:
            return
        facts = view.facts
        self._put("title", drawing.title(view.position, facts, view.who, columns, is_first_state=view.is_first_state))
        self._put("top", Content("") if is_wide or facts is None else drawing.top(facts, columns))
        self._put("side", drawing.side(facts, drawing.side_width(columns) - 3) if facts else Content(""))
        self.query_one("#top").display, self.query_one("#side").display = not is_wide, is_wide
        self.query_one("#side").styles.width = drawing.side_width(columns)
        self._put("rule-top", drawing.rule(columns, view.label))
        self.draw_position()
        self._put("message", Content.styled(view.message, "bold reverse" if view.is_notice else "bold"))
        self.rows = drawing.key_rows(view.items, columns)
        self._put("keys", drawing.keys_content(self.rows))
        self.input.display = view.is_input

    def draw_position(self) -> None:
        if self.is_composed:
            self._put("rule-bottom", drawing.rule(self.app.size.width, right=self.text.position))

    def _put(self, name: str, content: Content) -> None:
        self.query_one(f"#{name}", Static).update(content)

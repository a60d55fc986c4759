"""A full screen whose work runs in threads, and which restores the terminal on every exit."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from threading import Thread, Timer
from typing import Any, ClassVar

from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.driver import Driver
from textual.events import Click, Key, Resize
from textual.filter import LineFilter
from textual.message import Message
from textual.widgets import Input

from leadctl.errors import LeadctlError
from leadctl.output.escapes import escape_control
from leadctl.triage import drawing
from leadctl.triage.frame import Frame
from leadctl.triage.pages import Pages, Place
from leadctl.triage.text_view import TextView

GRACE_S = 5
_SIGNALS = ("SIGTERM", "SIGHUP")


class Mode(Enum):
    """Modes, which determine the meaning of a key."""

    LEAD = "lead"
    NOTICE = "notice"  # any key shows the next lead, b this one
    PAGE = "page"  # help or history is shown instead of the text
    CONFIRM = "confirm"  # y or another key
    INPUT = "input"


_PROMPTS = (Mode.CONFIRM, Mode.INPUT)


class Done(Message):
    """The end of work in a thread."""

    def __init__(self, result: Any, then: Callable[[Any], None]) -> None:
        self.result, self.then = result, then
        super().__init__()


class Info(Message):
    """A message of the HTTP client, such as a wait that the server asks for."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__()


def _driver_class() -> type[Driver] | None:
    if sys.platform == "win32":
        return None
    from leadctl.triage.terminal_input import KeyDriver  # noqa: PLC0415 - not on Windows

    return KeyDriver


class _Colourless(LineFilter):
    """Removes all colours, also those that Textual sends as greys."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        return [Segment(text, style and style.without_color, control) for text, style, control in segments]


class Window(App[None]):
    """Modes, messages, prompts and threads; a subclass implements `press` and `draw`."""

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", priority=True),
        Binding("ctrl+z", "suspend_process", priority=True),
        Binding("ctrl+l", "redraw", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__(driver_class=_driver_class(), ansi_color=True)
        self.theme = "ansi-dark"
        self.signal_code: int | None = None
        self.mode = Mode.LEAD
        self.message, self.label = "", ""
        self.frame = Frame()
        self.text = self.frame.text
        self._behind: tuple[Pages, Place, str] | None = None  # the text behind help or history
        self._answered: Callable[[str], None] = lambda _text: None
        self._declined: Callable[[], None] | None = None  # what Esc does in a field, besides closing it
        self._results: deque[Done] = deque()  # those that arrived while a prompt was open
        self._is_ready = False

    def run_to_end(self) -> None:
        """Run until the user quits or a signal arrives; raise the exception that ended the program otherwise."""
        self.run()
        if self._exception:
            raise self._exception

    def press(self, key: str, at_s: float) -> None:
        """Handle a key, or a click on one in the footer."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw everything around the text."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield self.frame

    def on_mount(self) -> None:
        if sys.platform != "win32" and not self.is_headless:
            for number in (signal.Signals[name] for name in _SIGNALS):
                asyncio.get_running_loop().add_signal_handler(number, self._stop, number)
        self.app_resume_signal.subscribe(self, lambda _: self.action_redraw())
        self.call_after_refresh(self._accept_keys)

    def _accept_keys(self) -> None:
        self._redraw()
        self._is_ready = True  # keys that were typed before the first screen are dropped

    def _stop(self, number: int) -> None:
        self.signal_code = 128 + number
        self.exit()
        watchdog = Timer(GRACE_S, os._exit, [self.signal_code])  # Textual may wait for a terminal that has gone
        watchdog.daemon = True
        watchdog.start()

    def action_redraw(self) -> None:
        self.refresh(layout=True)

    async def action_quit(self) -> None:
        self.press("q", 0)

    def get_line_filters(self) -> list[LineFilter]:
        return [_Colourless()] if self.no_color else list(super().get_line_filters())

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()  # without Textual's traceback, which prints the values of variables

    def panic(self, *_renderables: object) -> None:
        """End the program after an error of Textual's driver, whose traceback is not printed either."""
        self._exception = self._exception or LeadctlError("can't read the terminal's input")
        self._fatal_error()

    def on_resize(self, _event: Resize) -> None:
        self.call_later(self._redraw)  # once Textual has the new size

    def on_text_view_scrolled(self, _event: TextView.Scrolled) -> None:
        self.frame.draw_position()

    def on_key(self, event: Key) -> None:
        event.stop()
        is_letter = event.is_printable and event.key != "space" and not event.key.startswith(("alt+", "ctrl+"))
        printable = event.character if is_letter else None
        key = printable or event.key
        self._press(key if key == "N" else key.lower(), event.time)

    def on_click(self, event: Click) -> None:
        is_on_key = event.widget is not None and event.widget.id == "keys"
        if is_on_key and (key := drawing.key_at(self.frame.rows, event.x, event.y)):
            self._press(key, event.time)

    def _press(self, key: str, at_s: float) -> None:
        if not self._is_ready or (self.frame.is_small and key != "q"):
            return
        if self.mode is Mode.CONFIRM:
            self.set_mode(Mode.LEAD, "" if key == "y" else "cancelled")
            if key == "y":
                self._answered(key)
        elif self.mode is not Mode.INPUT:
            self.press(key, at_s)
        elif key == "escape":
            self._end_input("cancelled")
            if self._declined:
                self._declined()

    # messages and prompts

    def say(self, message: str) -> None:
        self.set_mode(self.mode, message)

    def set_mode(self, mode: Mode, message: str) -> None:
        if self.mode in _PROMPTS:
            self.call_later(self._handle_results)  # unless another prompt follows at once
        self.mode, self.message = mode, message
        self._redraw()

    def _redraw(self) -> None:
        if self.frame.is_composed:
            self.draw()

    def show_text(self, label: str, text: str, pages: Sequence[int] = ()) -> None:
        """Show a text with a caption; behind help or history, if one is open."""
        if self.mode is Mode.PAGE:
            self._behind = (Pages(text, pages), Place(), label)
            return
        self.label = label
        self.text.show(Pages(text, pages))
        self._redraw()

    def open_page(self, label: str, text: str) -> None:
        """Show a text until a key is pressed that does not scroll."""
        if self.mode is not Mode.PAGE:
            self._behind = (self.text.pages, self.text.top, self.label)
        self.label = label
        self.text.show(Pages(text))
        self.set_mode(Mode.PAGE, "")  # a message about a key that was ignored has been read

    def close_page(self) -> None:
        if self._behind:
            pages, place, self.label = self._behind
            self.text.show(pages, place)
        self.set_mode(Mode.LEAD, self.message)

    def confirm(self, question: str, then: Callable[[], None]) -> None:
        """Ask a question, and call `then` if the answer is y."""
        self._answered = lambda _: then()
        self.set_mode(Mode.CONFIRM, question)

    def ask(
        self,
        what: str,
        then: Callable[[str], None],
        *,
        otherwise: Callable[[], None] | None = None,
        is_secret: bool = False,
    ) -> None:
        """Ask for a line of text, and call `then` with it; if the user presses Esc, call `otherwise`."""
        self._answered, self._declined = then, otherwise
        field = self.frame.input
        field.is_answered, field.password, field.value = False, is_secret, ""
        self.set_mode(Mode.INPUT, what)  # shows the field; a hidden one can't have the focus
        self.set_focus(field)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self.mode is Mode.INPUT:
            self._end_input("")
            self._answered(event.value)

    def _end_input(self, message: str) -> None:
        self.set_focus(None)
        self.frame.input.value = ""
        self.set_mode(Mode.LEAD, message)

    # threads

    def start(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Work in a thread, then call `then` with the result or the LeadctlError.

        The thread never delays the end of the program.
        """

        def run() -> None:
            result: Any
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - raised again in the app's own thread
                result = error
            with suppress(RuntimeError):  # the program has ended
                self.post_message(Done(result, then))

        Thread(target=run, daemon=True).start()

    def on_done(self, event: Done) -> None:
        if isinstance(event.result, Exception) and not isinstance(event.result, LeadctlError):
            raise event.result
        self._results.append(event)
        self._handle_results()

    def _handle_results(self) -> None:
        while self._results and self.mode not in _PROMPTS:
            event = self._results.popleft()
            event.then(event.result)

    def inform(self, text: str) -> None:
        """Show a message; any thread may call this."""
        self.post_message(Info(text))

    def on_info(self, event: Info) -> None:
        if self.mode is Mode.LEAD:
            self.say(escape_control(event.text))

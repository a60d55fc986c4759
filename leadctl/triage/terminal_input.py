"""Keys from a POSIX terminal, without replies of the terminal and unknown control sequences."""

import os
import re
import selectors
import time
from codecs import getincrementaldecoder
from collections.abc import Iterable

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key
from textual.keys import Keys
from textual.message import Message

REPLY_WITHIN_S = 1.0  # a reply whose end has not arrived by then is dropped
_PASTE_START, _PASTE_END = "\x1b[200~", "\x1b[201~"
_REPLY = re.compile(r"\x1b(?:\][0-9]|P[0-9>!]|[_^X])[^\x07\x1b]*(?:\x07|\x1b\\|\x1b?\Z|(?=\x1b))")  # OSC, DCS, APC …
# complete control sequences, except those of the mouse, of modes and of function keys of the Linux console
_CONTROL = re.compile(r"\x1b\[(?![M<])[0-?]*[ -/]*[@-Z\\-~](?<!\$y)")


class KeyParser(XTermParser):
    """Drops replies of the terminal and unknown control sequences, which Textual reads as typed letters."""

    _part, _until = "", 0.0  # the beginning of a reply, and how long to wait for its end
    _last = ""  # characters, in which a paste may begin or end
    _paste_until: float | None = None  # when a paste without an end is over

    def feed(self, data: str) -> Iterable[Message]:
        now = time.monotonic()
        data, self._part = (self._part if now < self._until else "") + data, ""
        for found in _REPLY.finditer(data):
            if found.end() == len(data) and not found[0].endswith(("\x07", "\x1b\\")):
                self._part, self._until = found[0], self._until if now < self._until else now + REPLY_WITHIN_S
        keys = _REPLY.sub("", data)
        self._follow_paste(keys, now)
        return super().feed(keys) if keys else ()

    def tick(self) -> Iterable[Message]:
        if self._paste_until is not None and time.monotonic() >= self._paste_until:
            self._paste_until = None
            yield from super().feed(_PASTE_END)
        yield from super().tick()

    def _follow_paste(self, keys: str, now: float) -> None:
        """Set the end of a paste that was cut off, which would hide all later keys."""
        seen = self._last + keys
        starts, ends = seen.rfind(_PASTE_START), seen.rfind(_PASTE_END)
        if starts > ends or (self._paste_until is not None and ends < 0):
            self._paste_until = now + REPLY_WITHIN_S
        elif ends >= 0:
            self._paste_until = None
        self._last = seen[1 - len(_PASTE_END) :]

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[Key]:
        try:
            found = list(super()._sequence_to_key_events(sequence, alt))
        except (ValueError, OverflowError):  # of a number that Textual does not expect
            found = []
        return found or ([Key(Keys.Ignore, sequence)] if _CONTROL.fullmatch(sequence) else [])


class KeyDriver(LinuxDriver):
    """Textual's driver with the KeyParser; bytes that are not UTF-8 are replaced."""

    def run_input_thread(self) -> None:
        parser, decoder = KeyParser(), getincrementaldecoder("utf-8")("replace")
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(0.1):
                    data = os.read(self.fileno, 4096)
                    if not data:  # the terminal has gone
                        return
                    for event in parser.feed(decoder.decode(data)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

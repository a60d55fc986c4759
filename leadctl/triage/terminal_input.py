"""Keys from a POSIX terminal, without replies of the terminal and unknown control sequences."""

import os
import re
import selectors
import signal
import time
from codecs import getincrementaldecoder
from collections.abc import Iterable

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key
from textual.keys import Keys
from textual.message import Message

REPLY_WITHIN_S = 1.0  # a reply whose end has not arrived by then is dropped
# a control sequence whose end has not arrived
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)\Z")
_UNFINISHED_IN_PASTE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_AFTER_ESC = re.compile(r"\[[0-?]*[ -/]*[@-~]|O[@-~]")
# a key of xterm's modifyOtherKeys, of which Textual would drop Ctrl and Alt
_WITH_CTRL_OR_ALT = re.compile(r"\x1b\[27;(?![12];)[0-9]+;[0-9]+~")
_PASTE_START, _PASTE_END = "\x1b[200~", "\x1b[201~"
_REPLY = re.compile(r"\x1b(?:\][0-9]|P[0-9>!]|[_^X])[^\x07\x1b]*(?:\x07|\x1b\\|\x1b?\Z|(?=\x1b))")  # OSC, DCS, APC …
# complete control sequences, except those of the mouse, of modes and of function keys of the Linux console
_CONTROL = re.compile(r"\x1b\[(?![M<])[0-?]*[ -/]*[@-Z\\-~](?<!\$y)")


class KeyParser(XTermParser):
    """Drops replies of the terminal and unknown control sequences, which Textual reads as typed letters."""

    _part, _until = "", 0.0  # the beginning of a reply, and how long to wait for its end
    _esc_until = 0.0  # how long the rest of a sequence may follow an Esc
    _paste_until: float | None = None  # when a paste without an end is over

    def feed(self, data: str) -> Iterable[Message]:
        now = time.monotonic()
        data, self._part = (self._part if now < self._until else "") + data, ""
        if now < self._esc_until and self._timeout_time is None and _AFTER_ESC.match(data):
            data = f"\x1b{data}"
        self._esc_until = now + REPLY_WITHIN_S if data.endswith("\x1b") else 0.0
        for found in _REPLY.finditer(data):
            if found.end() == len(data) and not found[0].endswith(("\x07", "\x1b\\")):
                self._part, self._until = found[0], self._until if now < self._until else now + REPLY_WITHIN_S
        keys = _REPLY.sub("", data)
        self._follow_paste(keys, now)
        if unfinished := (_UNFINISHED if self._paste_until is None else _UNFINISHED_IN_PASTE).search(keys):
            keys, self._part, self._until = keys[: unfinished.start()], unfinished[0], now + REPLY_WITHIN_S
        return super().feed(keys) if keys else ()

    def tick(self) -> Iterable[Message]:
        if self._paste_until is not None and time.monotonic() >= self._paste_until:
            self._paste_until = None
            yield from super().feed(_PASTE_END)
        yield from super().tick()

    def _follow_paste(self, keys: str, now: float) -> None:
        """Set the end of a paste that was cut off, which would hide all later keys."""
        starts, ends = keys.rfind(_PASTE_START), keys.rfind(_PASTE_END)
        if starts > ends or (self._paste_until is not None and ends < 0):
            self._paste_until = now + REPLY_WITHIN_S
        elif ends >= 0:
            self._paste_until = None

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[Key]:
        if _WITH_CTRL_OR_ALT.fullmatch(sequence):
            return [Key(Keys.Ignore, sequence)]
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
                    if not data:  # the terminal has gone; the kernel signals that to the session's leader only
                        os.kill(os.getpid(), signal.SIGHUP)
                        return
                    for event in parser.feed(decoder.decode(data)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

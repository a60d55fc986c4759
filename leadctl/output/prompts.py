"""The terminal to ask a person at, even if standard input is a pipe."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_INPUT, _OUTPUT = ("CONIN$", "CONOUT$") if os.name == "nt" else ("/dev/tty", "/dev/tty")


@contextmanager
def open_terminal() -> Iterator[tuple[TextIO, TextIO] | None]:
    """Yield streams to read answers from and to write questions to; None if there is nobody to ask."""
    if sys.stdin.isatty():
        yield (sys.stdin, sys.stderr) if _is_in_foreground(sys.stdin) else None
    elif not (sys.stdout.isatty() or sys.stderr.isatty()) or (source := _open_input()) is None:
        yield None
    else:
        with source, open(_OUTPUT, "w", encoding="utf-8", errors="backslashreplace") as target:  # noqa: PTH123
            yield source, target


def _open_input() -> TextIO | None:
    """Return the terminal's input; None without a terminal, or in the background."""
    try:
        source = open(_INPUT, encoding="utf-8", errors="replace")  # noqa: SIM115, PTH123 - the caller closes it
    except OSError:
        return None
    if _is_in_foreground(source):
        return source
    source.close()
    return None


def _is_in_foreground(terminal: TextIO) -> bool:
    """Return whether the program may read from the terminal; in the background, that would stop it."""
    try:
        return os.name == "nt" or os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:  # not the controlling terminal, as under setsid or `su -c`
        return False


def discard_typed(terminal: TextIO) -> None:
    """Discard what was typed before a question was shown."""
    try:
        import termios  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    with suppress(termios.error):  # the terminal has gone
        termios.tcflush(terminal, termios.TCIFLUSH)

"""leadctl at a pseudo-terminal."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Protocol

from tests.fork_server import take_terminal
from tests.system.programs import LEADCTL


class Home(Protocol):
    """Where a program runs: its environment and its working directory."""

    environment: dict[str, str]
    home: Path


class Terminal:
    """leadctl at a terminal of the given width; its standard input is the terminal, or a pipe with the text `piped`."""

    def __init__(
        self,
        client: Home,
        *arguments: str,
        columns: int = 80,
        piped: str | None = None,
        program: str = LEADCTL,
        is_controlling: bool = True,
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [program, *arguments],
            stdin=slave if piped is None else subprocess.PIPE,
            stdout=slave,
            stderr=slave,
            env=client.environment,
            cwd=client.home,
            start_new_session=True,
            # for Ctrl-C and getpass; without it, as under `setsid` or `su -c`
            preexec_fn=take_terminal if is_controlling else None,  # noqa: PLW1509 - it does no more than that
        )
        os.close(slave)
        if self.process.stdin is not None:
            self.process.stdin.write((piped or "").encode())
            self.process.stdin.close()
        self.screen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read_until(self, text: str | None, *, within_s: float = 20.0) -> str:
        """Wait for `text` (None: for the end of the program) and return the whole output."""
        until = time.monotonic() + within_s
        while text is None or text not in self.screen:
            assert time.monotonic() < until, self.screen
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            try:
                shown = os.read(self._master, 65536)
            except OSError:  # Linux raises it when the other end is closed
                shown = b""
            if not shown:
                assert text is None, self.screen
                break
            self.screen += self._decoder.decode(shown)
        return self.screen

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and the whole output."""
        screen = self.read_until(None)
        code = self.process.wait(20)
        os.close(self._master)
        return code, screen.replace("\r\n", "\n")


def lines(screen: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", screen).splitlines()

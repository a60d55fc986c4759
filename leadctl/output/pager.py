"""A pager, for what is longer than a terminal's screen."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TextIO


def pager(environ: Mapping[str, str]) -> Sequence[str]:
    """Return the command that LEADCTL_PAGER or PAGER names, else less where there is one; empty: none is wanted."""
    given = environ.get("LEADCTL_PAGER", environ.get("PAGER"))
    if given is None:
        return ["less", "-FRX"] if shutil.which("less") else []
    try:
        command = shlex.split(given)
    except ValueError:
        return []
    return [] if command == ["cat"] or not command or not shutil.which(command[0]) else command


def write_paged(made: Iterable[str], *, out: TextIO, command: Sequence[str]) -> None:
    """Write the lines, through the pager once they are more than the screen holds; who leaves it has seen enough."""
    remaining = iter(made)
    screen: list[str] = []
    size = shutil.get_terminal_size()
    rows = 0
    for line in remaining:
        screen.append(line)
        rows += max(1, -(-len(line.rstrip()) // size.columns))
        if rows >= size.lines:
            break
    else:
        out.writelines(screen)
        return
    out.flush()
    with _running(command) as stdin, suppress(BrokenPipeError):
        stdin.writelines(screen)
        stdin.flush()
        stdin.writelines(remaining)


@contextmanager
def _running(command: Sequence[str]) -> Iterator[IO[str]]:
    """Give the pager's input; however that ends, the terminal is the pager's until it ends itself."""
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    process = subprocess.Popen(  # noqa: S603 - the user's own choice
        command, stdin=subprocess.PIPE, env=environment, encoding="utf-8", errors="backslashreplace"
    )
    assert process.stdin is not None
    try:
        yield process.stdin
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        _wait(process)


def _wait(process: subprocess.Popen[str]) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager now
    try:
        process.wait()
    finally:
        signal.signal(signal.SIGINT, before)

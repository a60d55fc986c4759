"""A pager for output longer than the terminal."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TextIO


def find_pager(environ: Mapping[str, str]) -> Sequence[str]:
    """Return the command in LEADCTL_PAGER or PAGER, else less if installed; empty for no pager."""
    given = environ.get("LEADCTL_PAGER", environ.get("PAGER"))
    if given is None:
        return ["less", "-FRX"] if shutil.which("less") else []
    try:
        command = shlex.split(given)
    except ValueError:
        return []
    return [] if command == ["cat"] or not command or not shutil.which(command[0]) else command


def write_paged(lines: Iterable[str], *, out: TextIO, command: Sequence[str]) -> None:
    """Write the lines, through the pager if they are longer than the screen; quitting it is not an error."""
    remaining = iter(lines)
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
    """Run the pager, yield its input, and wait until the user quits it."""
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    process = subprocess.Popen(  # noqa: S603 - configured by the user
        command, stdin=subprocess.PIPE, env=environment, encoding="utf-8", errors="backslashreplace"
    )
    assert process.stdin is not None
    try:
        yield process.stdin
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pager handles Ctrl-C
        process.wait()
        signal.signal(signal.SIGINT, before)

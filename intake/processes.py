"""Several processes that serve one address: their start, restarts and shutdown."""

import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from intake.errors import SettingsInvalid

FIRST_PAUSE_S = 0.5  # before a process is restarted; each further pause is twice as long
MAX_PAUSE_S = 30.0
END_WITHIN_S = 4.0  # after a second signal, longer than a server takes
STABLE_S = 60.0  # after this, the pauses begin anew
BACKLOG = 2048
POLL_S = 0.2

_STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
log = logging.getLogger("intake.processes")


class SharedSocket(socket.socket):
    """A listening socket of several processes.

    asyncio accepts up to `backlog` connections at once, and calls `listen` with that number. It is 1, so that the
    processes share a burst of connections, but the kernel's backlog must stay larger.
    """

    def listen(self, _backlog: int = 0) -> None:
        """Do nothing, because the socket listens already."""


def listen(host: str, port: int) -> SharedSocket:
    """Return a socket that listens on this address. Raises SettingsInvalid."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsInvalid([f"INTAKE_PORT: can't listen on {host}:{port}: {error.strerror}"]) from error
    return SharedSocket(fileno=listening.detach())


@dataclass
class _Process:
    number: int
    pid: int = 0  # 0 while it does not run
    started_at: float = 0.0
    pause_s: float = FIRST_PAUSE_S / 2
    due_at: float = 0.0


class ProcessGroup:
    """Processes numbered from 0, forked from this one, which serves nothing itself and has no threads."""

    def __init__(self, count: int, listening: SharedSocket, *, stop_within_s: float) -> None:
        if not hasattr(signal, "sigtimedwait"):
            raise SettingsInvalid(["INTAKE_PROCESSES needs Linux: leave it out, or run several services"])
        self._listening = listening
        self._stop_within_s = stop_within_s
        self._processes = [_Process(number) for number in range(count)]
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*_STOPS, signal.SIGCHLD})
        self._life = os.pipe()  # closed when this process ends, even if it is killed
        self._ready, self._started = os.pipe()

    def run(self, on_started: Callable[[], None]) -> tuple[int, Callable[[], None]]:
        """Return in each new process, with its number and a function to call once it serves requests.

        The first one is started alone, so that an error ends the start; `on_started` is called here once it serves.
        This process itself stays here, restarts the others when they end, and is ended by a signal or that error.
        """
        first, *others = self._processes
        if not self._fork(first):
            return first.number, lambda: os.close(self._started) if os.write(self._started, b"1") else None
        if self._await(first):
            on_started()
            for process in others:
                if not self._fork(process):
                    return process.number, lambda: None
        while (due := self._next_due()) is not None:
            if not self._fork(due):
                return due.number, lambda: None
        raise AssertionError("a signal ends this process")

    def _fork(self, process: _Process) -> bool:
        """Start a process; return whether this is still the parent."""
        process.started_at = time.monotonic()
        process.pid = os.fork()
        if process.pid:
            return True
        os.close(self._life[1])
        os.setpgid(0, 0)  # Ctrl-C in a terminal is for the parent: a second signal would interrupt requests
        threading.Thread(target=_end_with_parent, args=[self._life[0]], daemon=True).start()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        return False

    def _await(self, first: _Process) -> bool:
        """Return True once the first process serves, or False after a signal to stop."""
        os.close(self._started)
        while not signal.sigpending() & _STOPS:
            if select.select([self._ready], [], [], POLL_S)[0]:
                if os.read(self._ready, 1):
                    return True
                sys.exit(abs(os.waitstatus_to_exitcode(os.waitpid(first.pid, 0)[1])) or 1)
        return False

    def _next_due(self) -> _Process | None:
        """Wait until a process must be restarted, and return it; end all of them after a signal to stop."""
        while True:
            ended = [process for process in self._processes if not process.pid]
            due = min(ended, key=lambda process: process.due_at, default=None)
            wait_s = due.due_at - time.monotonic() if due else MAX_PAUSE_S
            if due and wait_s <= 0:
                return due
            received = signal.sigtimedwait({*_STOPS, signal.SIGCHLD}, max(wait_s, 0))
            if received is not None and received.si_signo in _STOPS:
                self._stop(received.si_signo)
            for process, code in self._reap():
                is_stable = time.monotonic() - process.started_at >= STABLE_S
                process.pause_s = FIRST_PAUSE_S if is_stable else min(process.pause_s * 2, MAX_PAUSE_S)
                process.due_at = time.monotonic() + process.pause_s
                log.error(
                    "process %d ended (exit code %d); it is restarted in %.1f s", process.number, code, process.pause_s
                )

    def _reap(self) -> list[tuple[_Process, int]]:
        """Return the processes that have ended, and their exit codes."""
        ended = []
        for process in self._processes:
            if process.pid and (found := os.waitpid(process.pid, os.WNOHANG))[0]:
                process.pid = 0
                ended.append((process, os.waitstatus_to_exitcode(found[1])))
        return ended

    def _stop(self, number: int) -> None:
        """End all processes, at once after a second signal, by force if that takes too long, then this one."""
        self._listening.close()  # or the kernel would accept connections that no process does any more
        self._send(number)
        ends_at = time.monotonic() + self._stop_within_s
        while any(process.pid for process in self._processes):
            received = signal.sigtimedwait({*_STOPS, signal.SIGCHLD}, max(ends_at - time.monotonic(), POLL_S))
            if received is None:
                self._send(signal.SIGKILL)
            elif received.si_signo in _STOPS:
                self._send(received.si_signo)
                ends_at = time.monotonic() + END_WITHIN_S
            self._reap()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        sys.exit(128 + number)  # the kernel ignores the signal for process 1, that of a container

    def _send(self, number: int) -> None:
        for process in self._processes:
            if process.pid:
                os.kill(process.pid, number)


def _end_with_parent(life: int) -> None:
    """End this process with SIGTERM once the parent has ended."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)

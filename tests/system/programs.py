"""Running the real programs."""

import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

BIN = Path(sys.executable).parent
INTAKE = str(BIN / "intake")
LEADCTL = str(BIN / "leadctl")
START_WITHIN_S = 30
# below the ephemeral range: a client of a port without a listener could get that port itself and connect to itself
FIXED_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return an unused port for a program that may be restarted on it."""
    while True:
        port = random.choice(FIXED_PORTS)
        with socket.socket() as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def clean_environment(home: Path, **settings: str) -> dict[str, str]:
    """Return an environment with these settings and without the caller's.

    Limits per client are off by default, because all requests of a test come from one client.
    """
    ours = re.compile(r"INTAKE_|LEADCTL_|NO_COLOR|COLUMNS|XDG_|FORCE_COLOR")
    inherited = {name: value for name, value in os.environ.items() if not ours.match(name)}
    unbounded = {"INTAKE_RATE_LIMIT": "off", "INTAKE_MAX_UPLOADS": "400", "INTAKE_CONFIRMATIONS_PER_HOUR": "0"}
    return {**inherited, "HOME": str(home), "TERM": "xterm", **unbounded, **settings}


def until(condition: Callable[[], object], *, within_s: float = 60.0) -> None:
    """Wait until a condition holds."""
    ends_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_at, "this took too long"
        time.sleep(0.05)


def overlapping(work: Callable[[int], None], count: int, *, apart_s: float) -> None:
    """Run `work` with each number below `count`, each `apart_s` after the one before, in threads."""
    with ThreadPoolExecutor(count) as pool:
        running = []
        for number in range(count):
            running.append(pool.submit(work, number))
            time.sleep(apart_s)
    for one in running:
        one.result()


def peak_bytes(process: int) -> int:
    """Return the peak resident memory of a process since its start or the last reset."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {process} has ended")


class Service:
    """`intake serve`, or another long-running command, as a process on a free port."""

    program: Sequence[str] = (INTAKE,)

    def __init__(self, environment: Mapping[str, str], directory: Path, *arguments: str) -> None:
        self.environment, self.directory = environment, directory
        self.log: list[str] = []
        self._running = threading.Event()
        self.process = subprocess.Popen(
            [*self.program, *(arguments or ["serve"])],
            env={"INTAKE_PORT": "0", **environment},
            cwd=directory,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """The URL at which it listens."""
        for line in self.log:
            if found := re.search(r"running on (http://\S+)", line):
                return found[1]
        raise AssertionError("the service is not listening:\n" + "".join(self.log))

    def stop(self, *, within_s: float = 30) -> int:
        """Stop it with SIGTERM and return its exit code."""
        self.process.terminate()
        code = self.process.wait(within_s)
        self._reader.join(5)
        return code

    def __enter__(self) -> Self:
        if not self._running.wait(START_WITHIN_S):
            self.process.kill()
            self.process.wait()
            raise AssertionError("the service did not start:\n" + "".join(self.log))
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.log.append(line)
                if "running on" in line or "sending mail" in line:
                    self._running.set()
        self._running.set()  # the process ended; `url` raises with its log

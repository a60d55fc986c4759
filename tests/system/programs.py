"""The real programs, run as their users run them."""

import os
import random
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

BIN = Path(sys.executable).parent
INTAKE = str(BIN / "intake")
LEADCTL = str(BIN / "leadctl")
START_WITHIN_S = 30
# below those that connections are given: one that asks for a port where nobody listens could be given that very port,
# and reach itself
FIXED_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a port that nobody uses now, for a program that ends and comes back there."""
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
    """Return an environment with these settings and none that the caller's happens to hold.

    Unless they say otherwise, what bounds a client bounds nobody: every program here is the same one.
    """
    ours = re.compile(r"INTAKE_|LEADCTL_|NO_COLOR|COLUMNS|XDG_|FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not ours.match(name)}
    unbounded = {"INTAKE_RATE_LIMIT": "off", "INTAKE_MAX_UPLOADS": "400", "INTAKE_CONFIRMATIONS_PER_HOUR": "0"}
    return {**kept, "HOME": str(home), "TERM": "xterm", **unbounded, **settings}


def peak_bytes(process: int) -> int:
    """Return the most memory that a process had resident, since it started or since that was last forgotten."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {process} has ended")


class Service:
    """`intake serve` (or another command that runs on) as a process, on a free port, stopped at the end."""

    program: Sequence[str] = (INTAKE,)

    def __init__(self, environment: Mapping[str, str], directory: Path, *arguments: str) -> None:
        self.directory = directory
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
        """Where it listens."""
        for line in self.log:
            if found := re.search(r"running on (http://\S+)", line):
                return found[1]
        raise AssertionError("the service does not listen:\n" + "".join(self.log))

    def stop(self) -> int:
        """End it as an operator would, and return its exit code."""
        self.process.terminate()
        code = self.process.wait(30)
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
        self._running.set()  # it ended: `url` then says how

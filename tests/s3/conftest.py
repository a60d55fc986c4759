"""Fixtures: a real S3-compatible server."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import httpx2
import pytest

START_WITHIN_S = 30


class S3:
    """A server process with a bucket."""

    def __init__(self, program: Sequence[str] = ("-m", "moto.server")) -> None:
        self._program = program
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it empty and create the bucket."""
        command = [sys.executable, *self._program, "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_WITHIN_S
        while True:
            try:
                assert httpx2.put(f"{self.url}/cvs").status_code == 200
                return
            except httpx2.TransportError:
                assert time.monotonic() < until
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop it; all objects are lost."""
        self.process.terminate()
        self.process.wait(10)


def running(server: S3) -> Iterator[S3]:
    """Start the server and point the service's environment to it."""
    server.start()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**keys, "AWS_ENDPOINT_URL": server.url, "AWS_ALLOW_HTTP": "true"}.items():
            environment.setenv(name, value)
        yield server
    server.stop()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    yield from running(S3())

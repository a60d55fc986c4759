"""Shutdown: its duration, and connections that have not been accepted."""

import asyncio
import socket
import subprocess
import sys
import time

import pytest

from intake import server
from intake.app import create_app
from intake.metrics import Metrics
from intake.server import Server
from intake.settings import Settings
from tests.conftest import SECRET, Databases

HANGING = """
import threading
from intake.server import limit_shutdown
limit_shutdown(0.5)
threading.Thread(target=threading.Event().wait).start()
"""


def test_a_hanging_thread_does_not_outlive_the_grace_period() -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (1, "the shutdown took longer than INTAKE_SHUTDOWN_GRACE; ending now\n")
    assert time.monotonic() - began < 10


def test_connections_that_wait_in_the_kernel_are_accepted_before_a_stop(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "limit_shutdown", lambda _s: None)  # it would end this process
    settings = Settings(database_url=databases.migrated_url(), jwt_secrets=(SECRET,), port=0)
    metrics = Metrics()
    app = create_app(settings, with_worker=False, metrics=metrics)

    async def run() -> bytes:
        has_started = asyncio.Event()
        one = Server(app, settings, metrics, on_started=has_started.set)
        serving = asyncio.create_task(one.serve())
        await has_started.wait()
        address = one.servers[0].sockets[0].getsockname()
        with socket.create_connection(address) as waiting:  # the event loop can't accept it meanwhile
            waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            one.should_exit = True
            await one.shutdown()
            answer = waiting.recv(1000)
        serving.cancel()
        return answer

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200")

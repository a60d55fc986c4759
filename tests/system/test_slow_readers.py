"""Timeouts for clients that read slowly or not at all; the server runs in the test process with short timeouts."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from intake.app import create_app
from intake.database import Database
from intake.database.migrations import migrate
from intake.http.protocol import ConnectionLimiter, limited_protocol
from intake.metrics import Metrics
from intake.settings import Settings
from intake.users import accounts
from tests.conftest import PASSWORD, SECRET
from tests.system.programs import free_port
from tests.system.wire import Wire

STALLED_S = 1.5
CV = b"0123456789abcdef" * 2**19  # 8 MiB: more than the socket buffers
LITTLE = 2**14


class Server(uvicorn.Server):
    """The service in a thread of the test process."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        bounded = limited_protocol(ConnectionLimiter(settings, Metrics(), stalled_s=STALLED_S))
        super().__init__(
            uvicorn.Config(
                app,
                port=int(self.url.rpartition(":")[2]),
                http=bounded,
                ws="none",
                log_config=None,
                timeout_keep_alive=60,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self.run)

    def start(self) -> None:
        self._thread.start()
        while not self.started:
            assert self._thread.is_alive()
            time.sleep(0.01)

    def stop(self) -> None:
        self.should_exit = True
        self._thread.join()

    def becomes_idle_within(self, seconds: float) -> bool:
        """Return whether all connections and requests end within that time."""
        deadline = time.monotonic() + seconds
        while self.server_state.connections or self.server_state.tasks:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp("slow")
    settings = Settings(database_url=f"sqlite:///{directory}/intake.db", jwt_secrets=(SECRET,), rate_limits=())
    migrate(settings)
    database = Database(settings, connections=1)
    accounts.create_user(database, username="ada", password=PASSWORD, role="admin")
    database.close()
    running = Server(create_app(settings, with_worker=False), settings)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def download(server: Server) -> bytes:
    """A download request for a large CV."""
    fields = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    assert httpx2.post(f"{server.url}/leads/", data=fields, files={"CV": ("cv.txt", CV)}, timeout=60).status_code == 204
    login = httpx2.post(f"{server.url}/internal/auth/login", json={"username": "ada", "password": PASSWORD})
    token = login.json()["access_token"]
    return f"GET /internal/leads/1/cv-download HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n".encode()


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"], ids=["keep-alive", "close"])
def test_client_that_stops_reading_is_disconnected(server: Server, download: bytes, more: bytes) -> None:
    assert server.becomes_idle_within(5)
    with Wire(server.url, receive_buffer=LITTLE) as wire:
        wire.send(download + more + b"\r\n")
        time.sleep(STALLED_S / 2)
        assert server.server_state.tasks
        assert server.becomes_idle_within(STALLED_S + 2)
        assert len(wire.rest()) < len(CV)


def test_slow_reader_receives_the_whole_response(server: Server, download: bytes) -> None:
    with Wire(server.url, receive_buffer=LITTLE) as wire:
        wire.send(download + b"Connection: close\r\n\r\n")
        received = bytearray()
        deadline = time.monotonic() + 3 * STALLED_S
        while time.monotonic() < deadline:
            received += wire.socket.recv(LITTLE)
            time.sleep(0.02)
        assert len(received) < len(CV)
        received += wire.rest()
    assert received.endswith(CV)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        body = await Request(scope, receive).body()
        names = [name.decode() for name, _ in scope["headers"]]
        await JSONResponse([body.decode(), *names])(scope, receive, send)


def test_trailer_is_not_added_to_headers() -> None:
    server = Server(echo, Settings())
    server.start()
    with Wire(server.url) as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = wire.send(b"2\r\nhi\r\n0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n").answer("POST")
    server.stop()
    assert answer.body == b'["hi","host","transfer-encoding"]'  # type: ignore[attr-defined]

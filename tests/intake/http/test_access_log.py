"""Access log: complete lines off the event loop; and requests cancelled by a stop."""

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake.http import access_log
from intake.http.access_log import AccessLog, Entry
from intake.http.client_address import ForwardingMonitor
from intake.http.gateway import Gateway
from intake.http.routing import RouteTable
from intake.metrics import Metrics
from intake.settings import Settings

SCOPE: Scope = {
    "type": "http",
    "http_version": "1.1",
    "method": "POST",
    "path": "/leads/",
    "headers": [(b"host", b"x")],
    "client": ("192.0.2.1", 5000),
}


class Stream(io.StringIO):
    """A stream that records its writes, and blocks until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.released = threading.Event()

    def write(self, text: str) -> int:
        assert self.released.wait(10)
        self.writes.append(text)
        return len(text)


@pytest.fixture
def stream() -> Iterator[Stream]:
    """The stream of a handler like the service's."""
    stream, logger = Stream(), logging.getLogger("intake.access")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    stream.released.set()
    logger.removeHandler(handler)
    logger.setLevel(level)


def add(log: AccessLog, count: int, path: str = "/leads/") -> None:
    for number in range(count):
        log.add(Entry("POST", path, 204, 0.0021, f"{number:016}"))


def test_a_blocked_log_delays_no_request_and_loses_no_line(stream: Stream) -> None:
    log = AccessLog()
    log.start()
    add(log, 1000)
    assert not stream.writes
    stream.released.set()
    log.close()
    lines = "".join(stream.writes).splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == [f"{number:016}" for number in range(1000)]
    assert all("INFO intake.access: POST /leads/ 204 2 ms " in line for line in lines)


def test_each_write_has_complete_lines_and_is_atomic_in_a_pipe(stream: Stream) -> None:
    stream.released.set()
    log = AccessLog()
    log.start()
    add(log, 300)
    add(log, 1, "/" + "x" * 5000)
    log.close()
    assert 5 < len(stream.writes) < 30
    assert all(text.endswith("\n") for text in stream.writes)
    assert all(len(text) <= access_log.MAX_WRITE_BYTES or text.count("\n") == 1 for text in stream.writes)


def test_entries_after_the_end_are_logged_at_once(stream: Stream) -> None:
    stream.released.set()
    log = AccessLog()
    log.start()
    log.close()
    add(log, 1)
    assert len(stream.writes) == 1


def test_a_path_can_not_forge_a_line(stream: Stream) -> None:
    stream.released.set()
    add(AccessLog(), 1, "/a\nforged\u2028é")
    assert "/a\\nforged\\u2028\\xe9 204" in stream.writes[0]


async def cancelled(app: ASGIApp, sent: list[Message]) -> None:
    """Run a request, and cancel it as the server does at the end of the grace period."""

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    gateway = Gateway(
        RouteTable([]), Settings(), metrics=Metrics(), log=AccessLog(), forwarding=ForwardingMonitor(), lifespan=app
    )
    gateway.middleware = {"/leads/": app}
    task = asyncio.create_task(gateway({**SCOPE}, receive, send))
    await asyncio.sleep(0.01)
    task.cancel()
    await task


def test_a_request_cancelled_by_a_stop_is_503() -> None:
    async def waiting(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.sleep(60)

    sent: list[Message] = []
    asyncio.run(cancelled(waiting, sent))
    assert sent[0]["status"] == 503
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    assert int(headers["retry-after"]) > 0
    assert headers["x-request-id"]
    assert (headers["content-type"], headers["connection"]) == ("application/problem+json", "close")
    assert "is stopping" in json.loads(sent[1]["body"])["detail"]


def test_a_started_response_is_not_followed_by_another() -> None:
    async def begun(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(60)

    sent: list[Message] = []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled(begun, sent))
    assert [message["type"] for message in sent] == ["http.response.start"]

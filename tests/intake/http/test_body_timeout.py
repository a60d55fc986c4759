"""Body timeouts and early responses."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from intake.errors import RequestTimeout
from intake.http import body_timeout
from intake.http.body_timeout import RequestBody
from intake.settings import Settings

App = Callable[[Scope, Receive, Send], Awaitable[None]]
SETTINGS = Settings(body_timeout_s=0.5, min_body_rate=1000)
DECLARED = (b"content-length", b"100000")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_timeout, "GRACE_S", 0.1)
    monkeypatch.setattr(body_timeout, "LINGER_S", 0.8)
    monkeypatch.setattr(body_timeout, "QUIET_S", 0.1)


class Client:
    """Sends pieces of a body with a pause in seconds before each, stays connected, and collects the response."""

    def __init__(self, *pieces: tuple[float, bytes], is_whole: bool = False, headers: Sequence[object] = (DECLARED,)):
        self.pieces, self.is_whole = list(pieces), is_whole
        self.scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}
        self.answer: list[Message] = []

    async def receive(self) -> Message:
        if not self.pieces:
            await asyncio.Event().wait()
        await asyncio.sleep(self.pieces[0][0])
        _, piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or not self.is_whole}

    async def send(self, message: Message) -> None:
        self.answer.append(message)

    def call(self, app: App, settings: Settings = SETTINGS) -> float:
        """Return how long the application took, in seconds."""

        async def run() -> float:
            began = anyio.current_time()
            body = RequestBody(dict(self.scope["headers"]), self.receive, self.send, settings)
            await app(self.scope, body.receive, body.send)
            return anyio.current_time() - began

        return anyio.run(run)

    @property
    def closes(self) -> bool:
        return (b"connection", b"close") in [(name.lower(), value) for name, value in self.answer[0]["headers"]]


async def reads(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()
    await answers(scope, receive, send)


async def answers(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 413, "headers": []})
    await send({"type": "http.response.body", "body": b"no"})


def test_a_body_in_time_is_accepted() -> None:
    client = Client(*[(0.02, b"x" * 500)] * 10, is_whole=True)
    client.call(reads)
    assert [message["type"] for message in client.answer] == ["http.response.start", "http.response.body"]
    assert not client.closes


@pytest.mark.parametrize(
    ("pieces", "at_least_s", "at_most_s"),
    [
        ([], 0.1, 0.3),  # no data after the grace period
        ([(0.02, b"x")] * 200, 0.1, 0.3),  # single bytes with pauses
        ([(0.02, b"x" * 1000)] * 200, 0.5, 0.8),  # fast but endless
    ],
    ids=["silent", "dribbling", "endless"],
)
def test_a_slow_body_times_out(pieces: list[tuple[float, bytes]], at_least_s: float, at_most_s: float) -> None:
    async def expires(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RequestTimeout):
            await Request(scope, receive).body()

    assert at_least_s <= Client(*pieces).call(expires) < at_most_s + 0.5


def test_time_in_the_service_does_not_count() -> None:
    async def dawdles(scope: Scope, receive: Receive, send: Send) -> None:
        async for _ in Request(scope, receive).stream():
            await asyncio.sleep(0.2)
        await answers(scope, receive, send)

    client = Client(*[(0.0, b"x")] * 4, is_whole=True)
    client.call(dawdles)
    assert client.answer


def test_an_early_response_is_complete_before_the_rest_is_discarded() -> None:
    client = Client(*[(0.01, b"x" * 1000)] * 5, is_whole=True)
    client.call(answers)
    assert client.closes
    assert [message.get("more_body") for message in client.answer] == [None, True, None]
    assert client.answer[1]["body"] == b"no"
    assert not client.pieces


@pytest.mark.parametrize(("pieces", "most_s"), [([], 0.1), ([(0.05, b"x")] * 100, 0.8)], ids=["silent", "dribbling"])
def test_discarding_has_a_time_limit(pieces: list[tuple[float, bytes]], most_s: float) -> None:
    assert Client(*pieces).call(answers) < most_s + 0.3


def test_a_body_that_has_arrived_keeps_the_connection_open() -> None:
    client = Client((0.0, b"x"), is_whole=True)
    client.pieces = []
    arrived: list[Message] = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.request", "body": b"y"},
    ]

    async def receive() -> Message:
        return arrived.pop(0)

    client.receive = receive  # type: ignore[method-assign]
    client.call(answers)
    assert not client.closes
    assert len(client.answer) == 2


def test_a_fast_sender_gets_an_early_response() -> None:
    client, left = Client(), 1000

    async def receive() -> Message:
        nonlocal left
        if not left:
            await asyncio.Event().wait()
        left -= 1
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        client.answer.append({**message, "left": left})

    client.receive, client.send = receive, send  # type: ignore[method-assign]
    client.call(answers)
    assert client.closes
    assert client.answer[0]["left"] >= 998
    assert left == 0, "the rest is discarded"


def test_a_body_that_awaits_continue_is_not_read() -> None:
    client = Client(headers=[DECLARED, (b"expect", b"100-continue")])
    asked: list[object] = []

    async def receive() -> Message:
        asked.append(1)
        return {"type": "http.request", "body": b"x", "more_body": False}

    client.receive = receive  # type: ignore[method-assign]
    client.call(answers)
    assert client.closes
    assert not asked


def test_after_continue_the_rest_is_discarded() -> None:
    client = Client(*[(0.02, b"x" * 500)] * 10, is_whole=True, headers=[DECLARED, (b"expect", b"100-continue")])

    async def reads_a_piece(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await answers(scope, receive, send)

    client.call(reads_a_piece)
    assert client.closes
    assert not client.pieces


def test_other_expectations_do_not_await_continue() -> None:
    client = Client(*[(0.02, b"x" * 500)] * 10, is_whole=True, headers=[DECLARED, (b"expect", b"the best")])
    client.call(answers)
    assert not client.pieces


def test_waiting_for_a_disconnect_does_not_time_out() -> None:
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen, receive)
            await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await asyncio.sleep(0.3)
            await send({"type": "http.response.body", "body": b"late"})
            tasks.cancel_scope.cancel()

    client = Client()
    client.call(streams)
    assert client.answer[1]["body"] == b"late"


async def listen(receive: Receive) -> None:
    await receive()


def test_no_body_has_no_timeout() -> None:
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.move_on_after(0.3) as waited:
            await receive()
        assert waited.cancelled_caught
        await answers(scope, receive, send)

    client = Client(headers=[])
    client.call(streams)
    assert not client.closes

"""Streamed responses: one chunk ahead, with a limit over all of them."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from starlette.types import Message

from intake.http import streaming
from intake.http.request_state import AppRequest
from intake.http.streaming import PoolStreamingResponse
from intake.http.thread_pool import BoundedThreadPool


class Chunks:
    """A generator of chunks that counts those it has made."""

    def __init__(self, count: int, *, fails_at: int = -1) -> None:
        self.made = 0
        self.is_closed = False
        self._count, self._fails_at = count, fails_at

    def __call__(self) -> Iterator[bytes]:
        try:
            for number in range(self._count):
                if number == self._fails_at:
                    raise ValueError("no more")
                yield self.make(number)
        finally:
            self.is_closed = True

    def make(self, number: int) -> bytes:
        self.made += 1
        return b"%d" % number


@pytest.fixture(autouse=True)
def _every_user_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "check_active", lambda _database, _user: None)
    monkeypatch.setattr(streaming, "require_user", lambda _request: None)


def respond(chunks: Chunks) -> PoolStreamingResponse:
    state = {"thread_pool": BoundedThreadPool(2), "database": None}
    scope = {"type": "http", "headers": [], "state": state}
    return PoolStreamingResponse(AppRequest(scope), chunks())


class Reader:
    """A client that reads a message whenever `reads` is released."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.reads = asyncio.Semaphore(0)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            await self.reads.acquire()
        self.received.append(message.get("body", b""))


async def made(chunks: Chunks, count: int) -> None:
    """Check that exactly this number of chunks is made while the client reads nothing."""
    for _ in range(100):
        if chunks.made >= count:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert chunks.made == count


def test_the_next_chunk_is_made_while_one_is_sent() -> None:
    async def run() -> None:
        chunks, reader = Chunks(5), Reader()
        task = asyncio.create_task(respond(chunks).stream_response(reader.send))
        for count in (2, 3):
            await made(chunks, count)
            reader.reads.release()
        for _ in range(5):
            reader.reads.release()
        await task
        assert reader.received == [b"", b"0", b"1", b"2", b"3", b"4", b""]
        assert chunks.is_closed

    asyncio.run(run())


def test_slow_readers_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MAX_AHEAD", 2)

    async def run() -> None:
        several = [Chunks(3) for _ in range(4)]
        readers = [Reader() for _ in several]
        tasks = [
            asyncio.create_task(respond(chunks).stream_response(reader.send))
            for chunks, reader in zip(several, readers, strict=True)
        ]
        for chunks, count in zip(several, (2, 2, 1, 1), strict=True):
            await made(chunks, count)
        for reader in readers:
            for _ in range(3):
                reader.reads.release()
        await asyncio.gather(*tasks)
        assert all(reader.received == [b"", b"0", b"1", b"2", b""] for reader in readers)
        assert PoolStreamingResponse._ahead == 0

    asyncio.run(run())


def test_a_client_that_disconnects_leaves_no_open_generator() -> None:
    async def run() -> None:
        chunks, reader = Chunks(5), Reader()
        task = asyncio.create_task(respond(chunks).stream_response(reader.send))
        await made(chunks, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert chunks.is_closed
        assert PoolStreamingResponse._ahead == 0

    asyncio.run(run())


def test_a_generator_that_is_running_is_closed_after_a_second_cancellation() -> None:
    entered, release = threading.Event(), threading.Event()

    async def run() -> None:
        chunks, reader = Chunks(5), Reader()
        response = respond(chunks)
        make = chunks.make

        def blocked(number: int) -> bytes:
            if number == 1:
                entered.set()
                assert release.wait(5)
            return make(number)

        chunks.make = blocked  # type: ignore[method-assign]
        reader.reads.release()
        task = asyncio.create_task(response.stream_response(reader.send))
        await asyncio.to_thread(entered.wait)
        for _ in range(20):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert chunks.made == 1
        release.set()
        for _ in range(100):
            if chunks.is_closed:
                return
            await asyncio.sleep(0.02)
        pytest.fail("the generator is still open")

    asyncio.run(run())


def test_an_error_of_a_chunk_ends_the_response_without_its_end() -> None:
    async def run() -> None:
        chunks, reader = Chunks(3, fails_at=2), Reader()
        for _ in range(3):
            reader.reads.release()
        with pytest.raises(ValueError, match="no more"):
            await respond(chunks).stream_response(reader.send)
        assert reader.received == [b"", b"0", b"1"]
        assert PoolStreamingResponse._ahead == 0

    asyncio.run(run())

"""Responses whose chunks are made in threads, one of them ahead of the client."""

import asyncio
import time
from asyncio import Task
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any, cast

from anyio import CancelScope
from starlette.responses import StreamingResponse
from starlette.types import Send

from intake.http.request_state import AppRequest
from intake.http.routing import require_user, run_in_pool
from intake.users.accounts import check_active

MAX_AHEAD = 32  # chunks of all responses together, so that a thousand slow readers don't occupy a second one each
CHECK_INTERVAL_S = 0.1  # between two checks of a response's user, which take as long as a third of a chunk of a CV


class PoolStreamingResponse(StreamingResponse):
    """Sends a generator's chunks, each made in one of the API's threads, until the user is found inactive.

    The first one is made at once, so that an unavailable database or store is reported before the status is sent. While
    a chunk is sent, the next one is made, if fewer than MAX_AHEAD are.
    """

    _ahead = 0  # in this process

    def __init__(self, request: AppRequest, chunks: Iterator[bytes], **more: Any) -> None:
        self._request = request
        self._checked_at = time.monotonic()
        self._has_ended = False
        self._first = next(chunks)
        self._chunks = cast("Generator[bytes, None, None]", chunks)
        super().__init__(chunks, **more)

    async def stream_response(self, send: Send) -> None:
        """Send the chunks, and close the generator even if the client disconnects: it may have files open."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            chunk: bytes | None = self._first
            self._first = b""
            while chunk is not None:
                chunk = await self._send_and_make_next(send, chunk)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._has_ended = True
            self._close()

    async def _send_and_make_next(self, send: Send, chunk: bytes) -> bytes | None:
        """Send a chunk, and return the next one, or None after the last."""
        message = {"type": "http.response.body", "body": chunk, "more_body": True}
        if PoolStreamingResponse._ahead >= MAX_AHEAD:
            await send(message)
            return await self._next()
        PoolStreamingResponse._ahead += 1
        task = asyncio.create_task(self._next())
        try:
            await send(message)
            return await task
        finally:
            PoolStreamingResponse._ahead -= 1
            await _end(task)

    async def _next(self) -> bytes | None:
        def make() -> bytes | None:
            if time.monotonic() >= self._checked_at + CHECK_INTERVAL_S:
                check_active(self._request.state["database"], require_user(self._request))
                self._checked_at = time.monotonic()
            try:
                return next(self._chunks, None)
            finally:
                if self._has_ended:
                    self._close()

        return await run_in_pool(self._request, make, is_continuation=True)

    def _close(self) -> None:
        """Close the generator; if a thread still runs it, because its wait was cancelled, that thread does."""
        with suppress(ValueError):  # "generator already executing"
            self._chunks.close()


async def _end(task: Task[bytes | None]) -> None:
    """Cancel a task, and wait for its end: a thread may be using the generator."""
    task.cancel()
    with CancelScope(shield=True):
        await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # retrieved, so that it is not logged as never retrieved

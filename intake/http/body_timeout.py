"""Timeouts of request bodies, and early responses to them."""

import asyncio
import time
from collections.abc import Mapping

from anyio import move_on_after
from starlette.types import Message, Receive, Send

from intake.errors import RequestTimeout
from intake.settings import Settings

GRACE_S = 5.0  # before the minimum rate applies
LINGER_S = 10.0  # the longest that the rest of a body is discarded after an early response
MAX_PENDING = 2  # messages read to see whether a body is complete; a fast sender would never run out of them
PENDING_TIMEOUT_S = 0.001  # 0 would cancel the scope, which is expensive, even if messages are there
QUIET_S = 2.0  # the longest without any data meanwhile


class RequestBody:
    """One request's body, and the response to it; both messages pass through here.

    A response may be sent before the request's body has arrived (401, 413, 429, 503…), and ends the connection. If it
    were closed at once, further data would cause a TCP reset, which may discard the response. So the rest of the body
    is discarded for a short time first (a "lingering close").
    """

    def __init__(self, headers: Mapping[bytes, bytes], receive: Receive, send: Send, settings: Settings) -> None:
        self._receive, self._send = receive, send
        self._settings = settings
        self._is_complete = headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers
        # the client sends the body once the server asks for it (RFC 9110, section 10.1.1)
        self._awaits_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        self._has_response = self._is_early = False
        self._bytes = 0
        self._waited_s = 0.0

    async def receive(self) -> Message:
        """Return the next message. Raises RequestTimeout."""
        self._awaits_continue = False  # receiving makes uvicorn send "100 Continue"
        if not self._is_timed():
            return await self._take()
        started_at = time.monotonic()
        try:
            async with asyncio.timeout(self._allowed_s - self._waited_s):  # a third of the cost of anyio's
                return await self._take()
        except TimeoutError:
            pass
        finally:
            self._waited_s += time.monotonic() - started_at
        if not self._is_timed():  # the response has started, so this waits for the disconnect
            return await self._take()
        raise RequestTimeout(
            f"the body did not arrive in time: send it within {self._settings.body_timeout_s:.0f} seconds, and after"
            f" {GRACE_S:.0f} seconds at {self._settings.min_body_rate} bytes a second or more on average"
        )

    async def send(self, message: Message) -> None:
        """Send a message of the response; an early response ends the connection, after a while."""
        if message["type"] == "http.response.start":
            self._is_early = not await self._has_arrived()
            if self._is_early:
                headers = [header for header in message["headers"] if header[0] != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
        elif self._is_early and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._discard()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _has_arrived(self) -> bool:
        """Return whether the body is complete; called when the response starts, which ends the timeouts."""
        self._has_response = True
        if not (self._is_complete or self._awaits_continue):
            with move_on_after(PENDING_TIMEOUT_S):
                for _ in range(MAX_PENDING):
                    if not self._is_complete:
                        await self._take()
        return self._is_complete

    async def _discard(self) -> None:
        """Discard the rest of the body."""
        if self._awaits_continue:
            return
        with move_on_after(LINGER_S):
            while not self._is_complete:
                with move_on_after(QUIET_S) as waiting:
                    await self._take()
                if waiting.cancelled_caught:
                    return

    def _is_timed(self) -> bool:
        return not (self._is_complete or self._has_response)

    @property
    def _allowed_s(self) -> float:
        """The time allowed for all data so far and the next message."""
        at_rate_s = self._bytes / self._settings.min_body_rate
        return min(self._settings.body_timeout_s, max(GRACE_S, at_rate_s))

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)  # also true after a disconnect
        return message

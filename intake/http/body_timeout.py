"""Timeouts of request bodies, and early responses to them."""

import time

from anyio import move_on_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake.errors import RequestTimeout
from intake.settings import Settings

GRACE_S = 5.0  # before the minimum rate applies
LINGER_S = 10.0  # the longest that the rest of a body is discarded after an early response
MAX_PENDING = 2  # messages read to see whether a body is complete; a fast sender would never run out of them
PENDING_TIMEOUT_S = 0.001  # 0 would cancel the scope, which is expensive, even if messages are there
QUIET_S = 2.0  # the longest without any data meanwhile


class BodyTimeoutMiddleware:
    """Refuses bodies that are too slow, and makes sure that clients can read an early response.

    A response may be sent before the request's body has arrived (401, 413, 429, 503…), and ends the connection. If it
    were closed at once, further data would cause a TCP reset, which may discard the response. So the rest of the body
    is discarded for a short time first (a "lingering close").
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(Headers(scope=scope), receive, self._settings)
        is_early = False

        async def send_and_linger(message: Message) -> None:
            nonlocal is_early
            if message["type"] == "http.response.start":
                is_early = not await body.is_complete()
                if is_early:
                    MutableHeaders(scope=message)["Connection"] = "close"
            elif is_early and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await body.discard()
                message = {"type": "http.response.body"}
            await send(message)

        await self._app(scope, body.receive, send_and_linger)


class _Body:
    """One request's body, its bytes so far, and the time spent waiting for them."""

    def __init__(self, headers: Headers, receive: Receive, settings: Settings) -> None:
        self._receive = receive
        self._settings = settings
        self._is_complete = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        # the client sends the body once the server asks for it (RFC 9110, section 10.1.1)
        self._awaits_continue = headers.get("expect", "").lower() == "100-continue"
        self._has_response = False
        self._bytes = 0
        self._waited_s = 0.0

    async def receive(self) -> Message:
        """Return the next message. Raises RequestTimeout."""
        self._awaits_continue = False  # receiving makes uvicorn send "100 Continue"
        if not self._is_timed():
            return await self._take()
        started_at = time.monotonic()
        try:
            with move_on_after(self._allowed_s - self._waited_s):
                return await self._take()
        finally:
            self._waited_s += time.monotonic() - started_at
        if not self._is_timed():  # the response has started, so this waits for the disconnect
            return await self._take()
        raise RequestTimeout(
            f"the body did not arrive in time: send it within {self._settings.body_timeout_s:.0f} seconds, and after"
            f" {GRACE_S:.0f} seconds at {self._settings.min_body_rate} bytes a second or more on average"
        )

    async def is_complete(self) -> bool:
        """Return whether the body is complete; called when the response starts, which ends the timeouts."""
        self._has_response = True
        if not (self._is_complete or self._awaits_continue):
            with move_on_after(PENDING_TIMEOUT_S):
                for _ in range(MAX_PENDING):
                    if not self._is_complete:
                        await self._take()
        return self._is_complete

    async def discard(self) -> None:
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

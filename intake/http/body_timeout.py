"""Request bodies as they arrive: within a time, at a rate, and to a sane end where the answer comes first."""

import time

from anyio import move_on_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake.errors import RequestTimeout
from intake.settings import Settings

GRACE_S = 5.0  # before a body's rate counts
LINGER_S = 10.0  # what is left of a body is passed over for so long
AT_HAND = 2  # messages that may have come by then: from who sends fast there would be no end of them
AT_HAND_S = 0.001  # not 0, with which a scope is cancelled, at some cost, before it is known whether it need be
QUIET_S = 2.0  # and no longer than this once nothing comes


class BodyTimeoutMiddleware:
    """Refuses bodies that are too slow, on whatever route; and lets a client read an answer that came early.

    An answer may be given before its request's body has arrived (401, 413, 429, 503…). The connection then ends with
    it; but were it closed at once, what still arrives would be met by a reset, which takes the answer with it. So what
    comes is passed over for a moment (a "lingering close").
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

        async def send_and_part(message: Message) -> None:
            nonlocal is_early
            if message["type"] == "http.response.start":
                is_early = not await body.has_arrived()
                if is_early:
                    MutableHeaders(scope=message)["Connection"] = "close"
            elif is_early and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await body.pass_over()
                message = {"type": "http.response.body"}
            await send(message)

        await self._app(scope, body.receive, send_and_part)


class _Body:
    """One request's body, and how much of it has come in how much time spent waiting for it."""

    def __init__(self, headers: Headers, receive: Receive, settings: Settings) -> None:
        self._receive = receive
        self._settings = settings
        self._is_whole = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        # until it is asked for (RFC 9110, section 10.1.1)
        self._is_held_back = headers.get("expect", "").lower() == "100-continue"
        self._is_answered = False
        self._bytes = 0
        self._waited_s = 0.0

    async def receive(self) -> Message:
        """Return the next message. Raises BodyTooSlow."""
        self._is_held_back = False  # the server asks for it now
        if not self._is_timed():
            return await self._take()
        began = time.monotonic()
        try:
            with move_on_after(self._allowed_s - self._waited_s):
                return await self._take()
        finally:
            self._waited_s += time.monotonic() - began
        if not self._is_timed():  # an answer has begun: who still listens here waits for the client to go
            return await self._take()
        raise RequestTimeout(
            f"the body did not arrive in time: it may take {self._settings.body_timeout_s:.0f} seconds,"
            f" and after {GRACE_S:.0f} not fewer than {self._settings.min_body_rate} bytes a second on average"
        )

    async def has_arrived(self) -> bool:
        """Return whether there is no more to come; an answer is given from now on, and time counts no more."""
        self._is_answered = True
        if not (self._is_whole or self._is_held_back):
            with move_on_after(AT_HAND_S):
                for _ in range(AT_HAND):
                    if not self._is_whole:
                        await self._take()
        return self._is_whole

    async def pass_over(self) -> None:
        """Take what still comes, and leave it."""
        if self._is_held_back:
            return
        with move_on_after(LINGER_S):
            while not self._is_whole:
                with move_on_after(QUIET_S) as waiting:
                    await self._take()
                if waiting.cancelled_caught:
                    return

    def _is_timed(self) -> bool:
        return not (self._is_whole or self._is_answered)

    @property
    def _allowed_s(self) -> float:
        """How long may be waited for all that came so far, and what comes next."""
        at_rate_s = self._bytes / self._settings.min_body_rate
        return min(self._settings.body_timeout_s, max(GRACE_S, at_rate_s))

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)  # true also of a client that is gone
        return message

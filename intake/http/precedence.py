"""Who goes first where one event loop serves both doors: those who are in."""

import asyncio
from collections import deque

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_S = 0.1  # nobody stands back for longer, so that a busy firm still hears from its prospects
LOOK_S = 0.002


class Precedence:
    """Holds back what strangers send while others are waiting for an answer, and lets it in one by one.

    A flood at the public door would else be hundreds of requests that are all begun in one turn of the event loop,
    before it looks at anything else again. What is under `open_to_strangers` waits until no other request is without
    the start of its answer, or for MOST_S; and of those that wait, one is let in at each turn of the loop.
    """

    def __init__(self, app: ASGIApp, *, open_to_strangers: str) -> None:
        self._app = app
        self._prefix = open_to_strangers
        self._ahead = 0
        self._is_free = True  # until the next turn of the loop, and for nobody else meanwhile
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith(self._prefix):

            async def receive_in_turn() -> Message:
                message = await receive()
                if self._ahead:
                    await self._turn()
                return message

            await self._turn()
            await self._app(scope, receive_in_turn, send)
        else:
            await self._first(scope, receive, send)

    async def _first(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ahead = True
        self._ahead += 1

        def done() -> None:
            nonlocal is_ahead
            self._ahead -= is_ahead
            is_ahead = False

        async def send_begun(message: Message) -> None:
            await send(message)
            done()

        try:
            await self._app(scope, receive, send_begun)
        finally:
            done()

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self._is_free:
            self._is_free = False
            loop.call_soon(self._let_in)
            if not self._ahead:
                return
        turn = loop.create_future()
        self._waiting.append((loop.time(), turn))
        await turn

    def _let_in(self) -> None:
        if not self._waiting:
            self._is_free = True
            return
        loop = asyncio.get_running_loop()
        came_at, turn = self._waiting[0]
        if self._ahead and loop.time() - came_at < MOST_S:
            loop.call_later(LOOK_S, self._let_in)
            return
        self._waiting.popleft()
        if not turn.done():  # else it was cancelled
            turn.set_result(None)
        loop.call_soon(self._let_in)

"""A door's threads: few work at a time, and nobody waits for one without end."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from anyio import CapacityLimiter, WouldBlock, fail_after, to_thread

from intake.errors import ServiceBusy

MAX_WAITING = 200  # works; past that a new one is refused at once
MAX_WAIT_S = 10.0
MAX_WAIT_UNDER_WAY_S = 60.0  # for what has begun, and would be lost

T = TypeVar("T")


class Threads:
    """At most `count` threads at once, given in the order in which they are asked for."""

    def __init__(self, count: int) -> None:
        self._turns = CapacityLimiter(count)
        self._workers = CapacityLimiter(math.inf)  # the turns are what bounds them

    async def run(self, work: Callable[[], T], *, is_under_way: bool = False) -> T:
        """Return what `work` returns, run in a thread. Raises ServiceBusy where none is free in time.

        What `is_under_way` (an answer half given, an upload half taken) waits longer, whoever else does.
        """
        turn = object()
        await self._wait(turn, is_under_way=is_under_way)
        try:
            return await to_thread.run_sync(work, limiter=self._workers)
        finally:
            self._turns.release_on_behalf_of(turn)

    async def _wait(self, turn: object, *, is_under_way: bool) -> None:
        with suppress(WouldBlock):
            self._turns.acquire_on_behalf_of_nowait(turn)
            return
        busy = ServiceBusy("the service is busy; try again later", reason="threads")
        if not is_under_way and self._turns.statistics().tasks_waiting >= MAX_WAITING:
            raise busy
        try:
            with fail_after(MAX_WAIT_UNDER_WAY_S if is_under_way else MAX_WAIT_S):
                await self._turns.acquire_on_behalf_of(turn)
        except TimeoutError:
            raise busy from None

"""A door's threads: few work at a time, and nobody waits for one without end."""

import asyncio
from asyncio import CancelledError
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from anyio import CancelScope

from intake.errors import ServiceBusy

MAX_WAITING = 200  # works; past that a new one is refused at once
MAX_WAIT_S = 10.0
MAX_WAIT_UNDER_WAY_S = 60.0  # for what has begun, and would be lost

T = TypeVar("T")


class BoundedThreadPool:
    """At most `count` threads at once, given in the order in which they are asked for."""

    def __init__(self, count: int) -> None:
        # anyio's own way into a thread costs a request several times as much of the event loop's time
        self._executor = ThreadPoolExecutor(count)
        self._count = count
        self._works = 0

    @property
    def waiting(self) -> int:
        """How many works wait for a thread."""
        return max(self._works - self._count, 0)

    async def run(self, work: Callable[[], T], *, is_under_way: bool = False) -> T:
        """Return what `work` returns, run in a thread. Raises ServiceBusy where none is free in time.

        What `is_under_way` (an answer half given, an upload half taken) waits longer, whoever else does. Who is
        cancelled waits for what has begun, since it works with what is theirs.
        """
        if not is_under_way and self.waiting >= MAX_WAITING:
            raise _busy()
        self._works += 1
        try:
            return await result_of(self._executor.submit(work), is_under_way=is_under_way)
        finally:
            self._works -= 1


async def result_of(given: "Future[T]", *, is_under_way: bool = False) -> T:
    """Return the result of what was given to a thread. Raises ServiceBusy where it has not begun in time."""
    is_late = False

    def give_up() -> None:
        nonlocal is_late
        is_late = given.cancel()  # which fails once it has begun

    patience_s = MAX_WAIT_UNDER_WAY_S if is_under_way else MAX_WAIT_S
    timer = asyncio.get_running_loop().call_later(patience_s, give_up)
    try:
        return await asyncio.wrap_future(given)
    except CancelledError:
        if is_late:
            raise _busy() from None
        if not given.cancelled():
            with CancelScope(shield=True):
                ended = asyncio.wrap_future(given)
                await asyncio.wait([ended])
                ended.exception()  # nobody is left to be told
        raise
    finally:
        timer.cancel()


def _busy() -> ServiceBusy:
    return ServiceBusy("the service is busy; try again later", reason="threads")

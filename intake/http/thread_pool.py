"""Bounded thread pools for blocking work."""

import asyncio
from asyncio import CancelledError
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from anyio import CancelScope

from intake.errors import ServiceBusy

MAX_WAITING = 200  # jobs; more are refused at once
MAX_WAIT_S = 10.0
MAX_CONTINUATION_WAIT_S = 60.0  # for the next step of a request, whose work so far would be lost

T = TypeVar("T")


class BoundedThreadPool:
    """At most `count` threads, which take jobs in the order of arrival."""

    def __init__(self, count: int) -> None:
        # anyio.to_thread takes several times as much of the event loop's time
        self._executor = ThreadPoolExecutor(count)
        self._count = count
        self._jobs = 0

    @property
    def waiting(self) -> int:
        """The number of jobs that wait for a thread."""
        return max(self._jobs - self._count, 0)

    async def run(self, work: Callable[[], T], *, is_continuation: bool = False) -> T:
        """Run `work` in a thread and return its result. Raises ServiceBusy if none is free in time.

        With `is_continuation` (a response or an upload in progress) it waits longer, however many others wait. A
        cancelled caller waits until running work ends, because the work uses the caller's objects.
        """
        if not is_continuation and self.waiting >= MAX_WAITING:
            raise _busy()
        self._jobs += 1
        try:
            return await result_of(self._executor.submit(work), is_continuation=is_continuation)
        finally:
            self._jobs -= 1


async def result_of(future: "Future[T]", *, is_continuation: bool = False) -> T:
    """Return the result of a future. Raises ServiceBusy if a thread has not started it in time."""
    is_late = False

    def give_up() -> None:
        nonlocal is_late
        is_late = future.cancel()  # fails if it is running

    timeout_s = MAX_CONTINUATION_WAIT_S if is_continuation else MAX_WAIT_S
    timer = asyncio.get_running_loop().call_later(timeout_s, give_up)
    try:
        return await asyncio.wrap_future(future)
    except CancelledError:
        if is_late:
            raise _busy() from None
        if not future.cancelled():
            with CancelScope(shield=True):
                ended = asyncio.wrap_future(future)
                await asyncio.wait([ended])
                ended.exception()  # retrieved, so that it is not logged as never retrieved
        raise
    finally:
        timer.cancel()


def _busy() -> ServiceBusy:
    return ServiceBusy("the service is busy; try again later", reason="threads")

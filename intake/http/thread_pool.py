"""Bounded thread pools for blocking work."""

import asyncio
import weakref
from asyncio import CancelledError
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

from anyio import CancelScope

from intake.errors import ServiceBusy

MAX_WAITING = 200  # jobs; more are refused at once
MAX_WAIT_S = 10.0
MAX_CONTINUATION_WAIT_S = 60.0  # for the next step of a request, whose work so far would be lost

T = TypeVar("T")


class BoundedThreadPool:
    """At most `count` threads, which take jobs in the order of arrival.

    A job costs a third of what it costs with ThreadPoolExecutor, and a tenth of what it costs with anyio.to_thread.
    """

    def __init__(self, count: int) -> None:
        self._queue: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self.size = count
        self._jobs = self._threads = 0
        weakref.finalize(self, _end_threads, self._queue, count)

    @property
    def waiting(self) -> int:
        """The number of jobs that wait for a thread."""
        return max(self._jobs - self.size, 0)

    @property
    def in_use(self) -> int:
        """The number of threads that run a job."""
        return min(self._jobs, self.size)

    async def run(self, work: Callable[[], T], *, is_continuation: bool = False) -> T:
        """Run `work` in a thread and return its result. Raises ServiceBusy if none is free in time.

        With `is_continuation` (a response or an upload in progress) it waits longer, however many others wait. A
        cancelled caller waits until running work ends, because the work uses the caller's objects.
        """
        if not is_continuation and self.waiting >= MAX_WAITING:
            raise _busy()
        self._jobs += 1
        try:
            if self._threads < self.in_use:
                self._threads += 1
                Thread(target=_run_jobs, args=[self._queue], name="intake-pool", daemon=True).start()
            job = _Job(work)
            self._queue.put(job)
            if not self.waiting:  # a thread is free
                return await job.result()
            return await job.result_in_time(MAX_CONTINUATION_WAIT_S if is_continuation else MAX_WAIT_S)
        finally:
            self._jobs -= 1


class _Job(Generic[T]):
    """A function that one thread runs, unless it is withdrawn first."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[T] = self._loop.create_future()
        self._claim = Lock()  # acquired once, to run or to withdraw the job
        self._has_ended = asyncio.Event()

    def run(self) -> None:
        """Run the function, in a thread, unless the job was withdrawn."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised to the caller that awaits the result
            self._report(self._fail, error)
        else:
            self._report(self._succeed, result)

    async def result(self) -> T:
        """Return the result, or wait for the end of running work if the caller is cancelled."""
        try:
            return await self._future
        except CancelledError:
            if not self._claim.acquire(blocking=False):
                with CancelScope(shield=True):
                    await self._has_ended.wait()
            raise

    async def result_in_time(self, timeout_s: float) -> T:
        """Return the result. Raises ServiceBusy if no thread has begun in time."""
        timer = self._loop.call_later(timeout_s, self._give_up)
        try:
            return await self.result()
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        if self._claim.acquire(blocking=False) and not self._future.done():
            self._future.set_exception(_busy())

    def _report(self, end: Callable[[Any], None], outcome: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody awaits the result
            self._loop.call_soon_threadsafe(end, outcome)

    def _succeed(self, result: T) -> None:
        self._has_ended.set()
        if not self._future.cancelled():
            self._future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        self._has_ended.set()
        if not self._future.cancelled():
            self._future.set_exception(error)


def _run_jobs(queue: "SimpleQueue[_Job[Any] | None]") -> None:
    while (job := queue.get()) is not None:
        job.run()
        del job


def _end_threads(queue: "SimpleQueue[_Job[Any] | None]", count: int) -> None:
    for _ in range(count):
        queue.put(None)


async def result_of(future: "Future[T]") -> T:
    """Return the result of a future. Raises ServiceBusy if a thread has not started it within MAX_WAIT_S."""
    is_late = False

    def give_up() -> None:
        nonlocal is_late
        is_late = future.cancel()  # fails if it is running

    timer = asyncio.get_running_loop().call_later(MAX_WAIT_S, give_up)
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

"""Thread pools without a free thread."""

import threading
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

from intake.errors import ServiceBusy
from intake.http import thread_pool
from intake.http.thread_pool import BoundedThreadPool


def busy(test: Callable[[BoundedThreadPool], Awaitable[None]]) -> None:
    """Run a test while both threads of a pool are busy."""

    async def run() -> None:
        release, pool = threading.Event(), BoundedThreadPool(2)
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(pool.run, release.wait)
            await anyio.sleep(0.05)
            try:
                await test(pool)
            finally:
                release.set()
        assert await pool.run(lambda: "free again") == "free again"
        assert pool._jobs == 0

    anyio.run(run)


def test_a_wait_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "MAX_WAIT_S", 0.1)

    async def waits(pool: BoundedThreadPool) -> None:
        with pytest.raises(ServiceBusy) as raised:
            await pool.run(lambda: None)
        assert raised.value.reason == "threads"

    busy(waits)


def test_a_continuation_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "MAX_WAIT_S", 0.05)
    monkeypatch.setattr(thread_pool, "MAX_CONTINUATION_WAIT_S", 0.2)

    async def waits(pool: BoundedThreadPool) -> None:
        began = anyio.current_time()
        with pytest.raises(ServiceBusy):
            await pool.run(lambda: None, is_continuation=True)
        assert anyio.current_time() - began > 0.15

    busy(waits)


def test_jobs_beyond_the_limit_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "MAX_WAITING", 3)

    async def waits(pool: BoundedThreadPool) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(pool.run, lambda: None)
            await anyio.sleep(0.05)
            with anyio.fail_after(0.05), pytest.raises(ServiceBusy):
                await pool.run(lambda: None)
            tasks.start_soon(lambda: pool.run(lambda: None, is_continuation=True))
            await anyio.sleep(0.05)
            assert pool.waiting == 4
            tasks.cancel_scope.cancel()

    busy(waits)


def test_an_error_releases_the_thread() -> None:
    async def run() -> None:
        pool = BoundedThreadPool(1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 // 0)
        assert pool._jobs == 0

    anyio.run(run)


def test_a_cancelled_caller_waits_for_running_work() -> None:
    done: list[str] = []

    def work() -> None:
        time.sleep(0.2)
        done.append("begun")
        raise ValueError("for nobody")

    async def run() -> None:
        pool = BoundedThreadPool(1)
        with anyio.move_on_after(0.05) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pool.run, work)
                await anyio.sleep(0.01)
                tasks.start_soon(pool.run, lambda: done.append("waiting"))
        assert scope.cancelled_caught
        assert done == ["begun"]
        await pool.run(lambda: None)
        assert done == ["begun"]
        assert pool._jobs == 0

    anyio.run(run)

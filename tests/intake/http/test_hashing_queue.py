"""Hashing queue: order, limits and cancellation."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from intake.errors import TooManyPendingLogins
from intake.http import hashing_queue
from intake.http.hashing_queue import HashingQueue, Turn, ahead, behind

WITHIN_S = 60


class Busy:
    """A queue whose only thread is busy until `release` is called; `done` has the jobs that ran since, in order."""

    def __init__(self) -> None:
        self.queue = HashingQueue(1)
        self.done: list[str] = []
        self._release, has_begun = threading.Event(), threading.Event()
        self._last: list[Future[None]] = []

        def hold() -> None:
            has_begun.set()
            self._release.wait(WITHIN_S)

        self.queue.join(hold, Turn(True, {}))
        assert has_begun.wait(WITHIN_S)

    def join(self, name: str, turn: Turn) -> "Future[None]":
        self._last.append(self.queue.join(lambda: self.done.append(name), turn))
        return self._last[-1]

    def release(self) -> list[str]:
        """Run all waiting jobs and return their names in order."""
        self._release.set()
        for future in self._last:
            if not future.cancelled():
                future.result(WITHIN_S)
        return self.done


@pytest.fixture
def busy() -> Iterator[Busy]:
    made = Busy()
    yield made
    made.release()
    assert made.queue.waiting == 0
    assert not made.queue._counts


def joined(busy: Busy, turns: Callable[[int], Turn]) -> int:
    """Return the number of jobs that join before one is refused."""
    for number in range(1000):
        try:
            busy.join(str(number), turns(number))
        except TooManyPendingLogins:
            return number
    raise AssertionError("there is no bound")


def test_known_users_are_first_then_the_order_of_arrival(busy: Busy) -> None:
    for name, turn in {"x": behind("a"), "ada": ahead("ada"), "y": behind("b"), "grace": ahead("grace")}.items():
        busy.join(name, turn)
    assert busy.release() == ["ada", "grace", "x", "y"]


def test_few_others_wait_and_fewer_from_one_network(busy: Busy) -> None:
    assert joined(busy, lambda _: behind("192.0.2.0/24")) == hashing_queue.MAX_BEHIND_PER_NETWORK == 2
    assert joined(busy, lambda number: behind(f"2001:db8:{number}::/48")) == 2
    assert busy.queue.waiting == hashing_queue.MAX_BEHIND == 4
    busy.join("ada", ahead("ada"))
    assert busy.release()[0] == "ada"


def test_known_users_are_limited_too(busy: Busy) -> None:
    assert joined(busy, lambda _: ahead("ada")) == hashing_queue.MAX_AHEAD_PER_KEY == 8
    busy.join("grace", ahead("grace"))
    assert joined(busy, lambda number: ahead(f"user {number}")) == hashing_queue.MAX_AHEAD - 9
    busy.join("x", behind("a"))


def test_a_refused_job_takes_no_slot(busy: Busy) -> None:
    assert [joined(busy, lambda _: behind("a")) for _ in range(3)] == [2, 0, 0]
    assert joined(busy, lambda _: behind("b")) == 2


def test_a_cancelled_job_frees_its_slot(busy: Busy) -> None:
    first, second = (busy.join(name, behind("a")) for name in ("first", "second"))
    with pytest.raises(TooManyPendingLogins):
        busy.join("third", behind("a"))
    assert first.cancel()
    busy.join("third", behind("a"))
    assert busy.queue.waiting == 2
    assert busy.release() == ["second", "third"]
    assert not second.cancel(), "a started job is not interrupted"


def test_a_started_job_frees_its_slot_and_errors_reach_the_caller(busy: Busy) -> None:
    failed = busy.queue.join(lambda: 1 // 0, behind("a"))
    busy.release()
    with pytest.raises(ZeroDivisionError):
        failed.result(WITHIN_S)
    assert [busy.queue.join(lambda: "free", behind("a")).result(WITHIN_S) for _ in range(9)] == ["free"] * 9


def test_every_job_runs_once_or_is_cancelled() -> None:
    queue, ran = HashingQueue(2), []
    turns = [Turn(bool(number % 2), {f"key {number % 7}": 1000}) for number in range(2000)]
    futures = [queue.join(lambda n=number: ran.append(n), turn) for number, turn in enumerate(turns)]  # type: ignore[misc]
    cancelled = {number for number, future in enumerate(futures) if number % 3 == 0 and future.cancel()}
    for number in set(range(2000)) - cancelled:
        futures[number].result(WITHIN_S)
    assert sorted(ran) == sorted(set(range(2000)) - cancelled)
    assert (queue.waiting, queue._counts) == (0, {})

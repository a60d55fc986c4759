"""Priority queue in front of the threads that hash passwords."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from intake.errors import TooManyPendingLogins

MOST_AHEAD = 40  # of those that wait; one thread needs ten seconds for them
MOST_OF_ONE = 8  # of them, for one user at one address, or with one user's token
MOST_OTHERS = 4
MOST_OF_A_NETWORK = 2  # of the others

T = TypeVar("T")


@dataclass(frozen=True)
class Turn:
    """A place in the queue: ahead or not, the keys it counts under, and how many may wait under each."""

    is_ahead: bool
    bounds: Mapping[str, int]


def ahead(key: str) -> Turn:
    """Return the turn of whoever is known by this key."""
    return Turn(True, {"ahead": MOST_AHEAD, f"one {key}": MOST_OF_ONE})


def behind(network: str) -> Turn:
    """Return the turn of everyone else, from this network."""
    return Turn(False, {"others": MOST_OTHERS, f"network {network}": MOST_OF_A_NETWORK})


@dataclass(frozen=True, eq=False)
class _Job:
    work: Callable[[], Any]
    turn: Turn
    future: "Future[Any]"


class HashingQueue:
    """At most `count` threads at once: first for those ahead, then for the others, each in the order of arrival."""

    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count)
        self._ahead: deque[_Job] = deque()
        self._others: deque[_Job] = deque()
        self._counts: Counter[str] = Counter()  # of those that wait
        self._lock = Lock()

    @property
    def waiting(self) -> int:
        """How many wait for a thread."""
        return len(self._ahead) + len(self._others)

    def join(self, work: Callable[[], T], turn: Turn) -> "Future[T]":
        """Return the future result of `work`; cancelling it frees its place. Raises TooManyLogins."""
        job = _Job(work, turn, Future())
        with self._lock:
            if any(self._counts[key] >= most for key, most in turn.bounds.items()):
                raise TooManyPendingLogins("too many passwords wait to be checked; try again later")
            self._counts.update(turn.bounds.keys())
            self._lane(job).append(job)
        job.future.add_done_callback(lambda _: self._leave(job))
        self._executor.submit(self._run_next)
        return job.future

    def _run_next(self) -> None:
        """Run the first job that waits, if one does: this is called once for each job, cancelled ones too."""
        with self._lock:
            if not (lane := self._ahead or self._others):
                return
            job = lane.popleft()
            self._uncount(job)
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            result = job.work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _leave(self, job: _Job) -> None:
        with self._lock, suppress(ValueError):  # a job that has begun does not wait any more
            self._lane(job).remove(job)
            self._uncount(job)

    def _uncount(self, job: _Job) -> None:
        self._counts -= Counter(job.turn.bounds.keys())  # drops those that are 0

    def _lane(self, job: _Job) -> deque[_Job]:
        return self._ahead if job.turn.is_ahead else self._others

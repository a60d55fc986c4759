"""Priority queue in front of the threads that hash passwords."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from intake.errors import TooManyPendingLogins

MAX_AHEAD = 40  # one thread needs ten seconds for them
MAX_AHEAD_PER_KEY = 8  # for one user at one address, or with one user's token
MAX_BEHIND = 4
MAX_BEHIND_PER_NETWORK = 2

T = TypeVar("T")


@dataclass(frozen=True)
class Turn:
    """A priority, and the maximum number of waiting jobs under each of its keys."""

    is_ahead: bool
    limits: Mapping[str, int]


def ahead(key: str) -> Turn:
    """Return the turn of a known user, counted under this key."""
    return Turn(True, {"ahead": MAX_AHEAD, f"one {key}": MAX_AHEAD_PER_KEY})


def behind(network: str) -> Turn:
    """Return the turn of anyone else, counted under this network."""
    return Turn(False, {"others": MAX_BEHIND, f"network {network}": MAX_BEHIND_PER_NETWORK})


@dataclass(frozen=True, eq=False)
class _Job:
    work: Callable[[], Any]
    turn: Turn
    future: "Future[Any]"


class HashingQueue:
    """At most `count` threads, first for jobs ahead, then for those behind, each in the order of arrival."""

    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count)
        self._ahead: deque[_Job] = deque()
        self._behind: deque[_Job] = deque()
        self._counts: Counter[str] = Counter()  # of waiting jobs
        self._lock = Lock()

    @property
    def waiting(self) -> int:
        """The number of jobs that wait for a thread."""
        return len(self._ahead) + len(self._behind)

    def join(self, work: Callable[[], T], turn: Turn) -> "Future[T]":
        """Return the future result of `work`; cancelling it removes the job. Raises TooManyPendingLogins."""
        job = _Job(work, turn, Future())
        with self._lock:
            if any(self._counts[key] >= limit for key, limit in turn.limits.items()):
                raise TooManyPendingLogins("too many logins are waiting; try again later")
            self._counts.update(turn.limits.keys())
            self._lane(job).append(job)
        job.future.add_done_callback(lambda _: self._leave(job))
        self._executor.submit(self._run_next)
        return job.future

    def _run_next(self) -> None:
        """Run the first waiting job, if any; called once for each job, including cancelled ones."""
        with self._lock:
            if not (lane := self._ahead or self._behind):
                return
            job = lane.popleft()
            self._uncount(job)
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            result = job.work()
        except BaseException as error:  # noqa: BLE001 - it is raised to the caller that awaits the result
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _leave(self, job: _Job) -> None:
        with self._lock, suppress(ValueError):  # a running job is not in the lane
            self._lane(job).remove(job)
            self._uncount(job)

    def _uncount(self, job: _Job) -> None:
        self._counts -= Counter(job.turn.limits.keys())  # this operator drops counts of 0

    def _lane(self, job: _Job) -> deque[_Job]:
        return self._ahead if job.turn.is_ahead else self._behind

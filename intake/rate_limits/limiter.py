"""How often each client may do something: counted in memory, or in a store that replicas share."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from anyio import CapacityLimiter, move_on_after, to_thread
from limits import RateLimitItem
from limits.errors import StorageError

from intake.database.installation import Fingerprints
from intake.errors import RateLimiterUnavailable
from intake.metrics import Metrics
from intake.rate_limits.memory_store import MemoryWindows
from intake.rate_limits.redis_store import PAUSE_S, open_store

ANSWER_WITHIN_S = 1.0  # everything that one check asks of a store
STORE_THREADS = 8

log = logging.getLogger("intake.http")
T = TypeVar("T")


@dataclass(frozen=True)
class Quota:
    """What one limit leaves to a client: `remaining` of `amount` in `window_s` seconds, more in `reset_s`."""

    name: str
    amount: int
    window_s: int
    remaining: int
    reset_s: int


@dataclass(frozen=True)
class RateLimitResult:
    """Whether a client may go on, and what each limit leaves to it."""

    is_allowed: bool
    quotas: tuple[Quota, ...]

    @property
    def retry_after_s(self) -> int:
        """When it may, if not now: in so many seconds."""
        return max((quota.reset_s for quota in self.quotas if not quota.remaining), default=1)


class Windows(Protocol):
    """What is asked of a storage of `limits`."""

    def acquire_entry(self, key: str, limit: int, expiry: int) -> bool:
        """Count a hit, unless there were `limit` in `expiry` seconds."""

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the window's first hit was, and how many there are."""

    def clear(self, key: str) -> None:
        """Forget a key."""


class RateLimiter:
    """Counts hits against limits (`limits.parse("60/minute")`), in moving windows; what is refused does not count.

    Every method raises LimitsUnavailable while the store is away, within ANSWER_WITHIN_S and then at once: who fails
    open catches it, who fails closed lets it be answered (503). In threads use `hit`, `look` and `clear`; on the
    event loop `hit_soon`, which keeps a store's work off it.
    """

    def __init__(self, store_url: str | None, metrics: Metrics, fingerprints: Fingerprints) -> None:
        self._windows: Windows = MemoryWindows() if store_url is None else open_store(store_url)
        self._is_shared = store_url is not None
        self._fingerprints = fingerprints
        self._metrics = metrics
        self._threads = CapacityLimiter(STORE_THREADS)
        self._is_away = False
        self._left_alone_until = 0.0

    def hit(self, limits: Sequence[RateLimitItem], *key: str) -> RateLimitResult:
        """Count what the key's owner does now, unless one of the limits is used up."""
        return self._asked(lambda: self._hit(limits, key))

    def look(self, limits: Sequence[RateLimitItem], *key: str) -> RateLimitResult:
        """Return what `hit` would say, and count nothing."""
        return self._asked(lambda: self._look(limits, key))

    def clear(self, limits: Sequence[RateLimitItem], *key: str) -> None:
        """Forget what the key's owner did."""
        for limit in limits:
            self._asked(lambda cleared=limit: self._windows.clear(self._entry(cleared, key)))  # type: ignore[misc]

    async def hit_soon(self, limits: Sequence[RateLimitItem], *key: str) -> RateLimitResult:
        """Do the same as `hit`, without stalling the event loop."""
        if not self._is_shared:
            return self.hit(limits, *key)
        self._check_away()
        with move_on_after(ANSWER_WITHIN_S):
            return await to_thread.run_sync(
                lambda: self.hit(limits, *key), limiter=self._threads, abandon_on_cancel=True
            )
        raise self._failed(TimeoutError("no answer in time"))

    def _hit(self, limits: Sequence[RateLimitItem], key: tuple[str, ...]) -> RateLimitResult:
        verdict = self._look(limits, key)
        if not verdict.is_allowed:
            return verdict
        counted = [
            self._windows.acquire_entry(self._entry(limit, key), limit.amount, limit.get_expiry()) for limit in limits
        ]
        spent = tuple(replace(quota, remaining=quota.remaining - 1) for quota in verdict.quotas)
        return RateLimitResult(all(counted), spent)

    def _look(self, limits: Sequence[RateLimitItem], key: tuple[str, ...]) -> RateLimitResult:
        quotas = tuple(self._quota(limit, key) for limit in limits)
        return RateLimitResult(all(quota.remaining for quota in quotas), quotas)

    def _quota(self, limit: RateLimitItem, key: tuple[str, ...]) -> Quota:
        window_s = limit.get_expiry()
        began, count = self._windows.get_moving_window(self._entry(limit, key), limit.amount, window_s)
        reset_s = math.ceil(began + window_s - time.time())
        return Quota(
            name=limit.GRANULARITY.name,
            amount=limit.amount,
            window_s=window_s,
            remaining=max(limit.amount - count, 0),
            reset_s=min(max(reset_s, 1), window_s),
        )

    def _entry(self, limit: RateLimitItem, key: tuple[str, ...]) -> str:
        """Return the name of a counter; a shared store may be readable by others, so it holds no address."""
        return limit.key_for(*(map(self._fingerprints.fingerprint, key) if self._is_shared else key))

    def _asked(self, work: Callable[[], T]) -> T:
        self._check_away()
        try:
            found = work()
        except StorageError as error:
            raise self._failed(error) from error
        if self._is_away:
            self._is_away = False
            log.warning("the limits store is back")
        return found

    def _check_away(self) -> None:
        if time.monotonic() < self._left_alone_until:
            raise RateLimiterUnavailable("what clients do can't be counted now; try again later")

    def _failed(self, error: Exception) -> RateLimiterUnavailable:
        self._left_alone_until = time.monotonic() + PAUSE_S
        self._metrics.limits_failures.inc()
        if not self._is_away:
            self._is_away = True
            log.warning("the limits store is away, and submissions are not limited by rate: %s", error)
        return RateLimiterUnavailable("what clients do can't be counted now; try again later")

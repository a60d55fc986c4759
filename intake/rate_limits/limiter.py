"""Rate limits by GCRA: N requests at once, then one in each Nth part of the window.

A client's backlog is the time in seconds until all of its quota is available again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from anyio import CapacityLimiter, move_on_after, to_thread

from intake.rate_limits.memory_store import TOLERANCE_S, Decision, MemoryStore
from intake.rate_limits.redis_store import RedisStore
from intake.settings.parsers import RateLimit

STORE_TIMEOUT_S = 1.0  # the longest that a request waits for Redis
STORE_THREADS = 8


@dataclass(frozen=True)
class Quota:
    """A client's quota under one limit: what remains of it now, and the seconds until all of it is available."""

    limit: RateLimit
    remaining: int
    reset_s: int


@dataclass(frozen=True)
class RateLimitResult:
    """Whether a request is allowed, the quotas after it, and the seconds to wait before a refused one is allowed."""

    is_allowed: bool
    quotas: tuple[Quota, ...]
    retry_after_s: int


class RateLimiter:
    """Counts requests in this process, or in Redis, which replicas share."""

    def __init__(self, store: MemoryStore | RedisStore) -> None:
        self._store = store
        self._threads = CapacityLimiter(STORE_THREADS)

    async def hit(self, limits: Sequence[RateLimit], key: str) -> RateLimitResult:
        """Count a request under `key`, unless one of the limits refuses it: then none of them counts it.

        Raises RateLimiterUnavailable within STORE_TIMEOUT_S while Redis is unavailable.
        """
        if isinstance(self._store, MemoryStore):
            return _result(limits, self._store.hit(key, limits))
        self._store.check_available()  # costs no thread
        with move_on_after(STORE_TIMEOUT_S):
            decision = await to_thread.run_sync(
                self._store.hit, key, limits, limiter=self._threads, abandon_on_cancel=True
            )
            return _result(limits, decision)
        raise self._store.record_failure(TimeoutError("no response in time"))


def _result(limits: Sequence[RateLimit], decision: Decision) -> RateLimitResult:
    is_allowed, backlogs = decision
    waits = [backlog + limit.interval_s - limit.window_s for limit, backlog in zip(limits, backlogs, strict=True)]
    return RateLimitResult(
        is_allowed, tuple(map(_quota, limits, backlogs)), 0 if is_allowed else max(1, math.ceil(max(waits)))
    )


def _quota(limit: RateLimit, backlog_s: float) -> Quota:
    remaining = int((limit.window_s - backlog_s + TOLERANCE_S) / limit.interval_s)
    return Quota(limit, min(max(remaining, 0), limit.amount), math.ceil(backlog_s))

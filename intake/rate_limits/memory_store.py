"""Rate limits and login counters in the memory of one process. Threads may share them."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

from intake.settings.parsers import RateLimit

Decision = tuple[bool, Sequence[float]]  # whether a request is allowed, and each limit's backlog after it

MAX_KEYS = 400_000  # some 140 MB with two limits each
MAX_COUNTERS = 100_000  # some 20 MB
TOLERANCE_S = 1e-4  # N intervals may exceed the window by a rounding error


class MemoryStore:
    """One number for each key and limit: the time at which its backlog will be 0.

    A request adds an interval to the backlog, which may not exceed the window. A key is always used with the same
    limits. Beyond `max_keys` the least recently used is dropped, so a client that continues to send is not.
    """

    def __init__(self, *, max_keys: int = MAX_KEYS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_keys, self._clock = max_keys, clock
        self._idle_at: OrderedDict[str, tuple[float, ...]] = OrderedDict()  # least recently used first
        self._lock = Lock()

    def hit(self, key: str, limits: Sequence[RateLimit]) -> Decision:
        """Count a request under every limit if all of them allow it."""
        with self._lock:
            now = self._clock()
            backlogs = [max(idle_at - now, 0.0) for idle_at in self._idle_at.pop(key, (now,) * len(limits))]
            counted = [backlog + limit.interval_s for limit, backlog in zip(limits, backlogs, strict=True)]
            is_allowed = all(
                backlog <= limit.window_s + TOLERANCE_S for limit, backlog in zip(limits, counted, strict=True)
            )
            backlogs = counted if is_allowed else backlogs
            self._idle_at[key] = tuple(now + backlog for backlog in backlogs)
            if len(self._idle_at) > self._max_keys:
                self._idle_at.popitem(last=False)
            return is_allowed, backlogs

    def __len__(self) -> int:
        return len(self._idle_at)


class MemoryCounters:
    """Counters that expire. Beyond `max_counters` the least recently incremented is dropped."""

    def __init__(self, *, max_counters: int = MAX_COUNTERS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_counters, self._clock = max_counters, clock
        self._counters: OrderedDict[str, tuple[int, float]] = OrderedDict()  # value and expiry
        self._lock = Lock()

    def increment(self, key: str, *, expiry_s: int) -> int:
        """Add 1 to a counter, which starts at 0 and expires `expiry_s` seconds later; return its value."""
        with self._lock:
            now = self._clock()
            value, expires_at = self._counters.pop(key, (0, now))
            if expires_at <= now:
                value, expires_at = 0, now + expiry_s
            self._counters[key] = value + 1, expires_at
            if len(self._counters) > self._max_counters:
                self._counters.popitem(last=False)
            return value + 1

    def time_left_s(self, key: str) -> float:
        """Return the seconds until a counter expires, 0 if there is none."""
        now = self._clock()
        return max(self._counters.get(key, (0, now))[1] - now, 0.0)

    def clear(self, key: str) -> None:
        """Delete a counter."""
        with self._lock:
            self._counters.pop(key, None)

    def __len__(self) -> int:
        return len(self._counters)

"""Moving windows in this process's memory, within bounds whoever comes.

Those of the `limits` library keep a list for every client for ever, and walk all of them at each hit: a million clients
were 800 MB and stalls of seconds.
"""

import time
from array import array
from bisect import bisect_left
from collections import OrderedDict
from threading import Lock

MAX_HITS = 200_000  # of all clients together: some 90 MB where each key has but one


class MemoryWindows:
    """When each key was hit, in the shape of a storage of `limits`. Threads may share it.

    Past `most_hits` the keys that were not asked for in the longest time are forgotten: never those who hammer.
    """

    def __init__(self, most_hits: int = MAX_HITS) -> None:
        self._most = most_hits
        self._hits: OrderedDict[str, array[float]] = OrderedDict()
        self._count = 0
        self._lock = Lock()

    def acquire_entry(self, key: str, limit: int, expiry: int) -> bool:
        """Count a hit, unless there were `limit` of them in the last `expiry` seconds; return whether it counted."""
        with self._lock:
            now = time.time()
            hits = self._hits.setdefault(key, array("d"))
            self._hits.move_to_end(key)
            past = bisect_left(hits, now - expiry)
            del hits[:past]
            self._count -= past
            if len(hits) >= limit:
                return False
            hits.append(now)
            self._count += 1
            self._forget()
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the moment of the oldest hit in the last `expiry` seconds (now, where there is none), and how many."""
        with self._lock:
            now = time.time()
            hits = self._hits.get(key, array("d"))
            if key in self._hits:
                self._hits.move_to_end(key)
            past = bisect_left(hits, now - expiry)
            return (hits[past] if past < len(hits) else now), min(len(hits) - past, limit)

    def clear(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            self._count -= len(self._hits.pop(key, ()))

    def __len__(self) -> int:
        return self._count

    def _forget(self) -> None:
        while self._count > self._most:
            _, hits = self._hits.popitem(last=False)
            self._count -= len(hits)

"""Guessed passwords: how long whoever got it wrong must wait, growing each time, and never for good."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

from limits.errors import StorageError

from intake.database.installation import Fingerprints
from intake.errors import LoginThrottled, RateLimiterUnavailable
from intake.rate_limits.redis_store import PAUSE_S, open_store
from intake.settings import Settings

FREE_ATTEMPTS = 5  # so many fail before the first wait
MAX_WAIT_S = 300
FORGOTTEN_AFTER_S = 3600  # counted from the first of them
KNOWN_FOR_S = 30 * 86400
UNKNOWN_NAMES_NOTED = 1000  # in an hour
ALLOWED_TRIES = 6  # a minute, for a user of `intake allow-login`
ALLOWED_TRIES_OF_CLIENT = 3  # of these, so that one attacker does not take all of them
MOST_KEPT = 100_000  # counters in memory, some 20 MB

log = logging.getLogger("intake.logins")


class Counters(Protocol):
    """Counters that end by themselves: what a storage of the `limits` library is, as far as it is used here."""

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a counter, which begins at 0 and ends `expiry` seconds after it began; return what it is then."""

    def get(self, key: str) -> int:
        """Return what the counter is, 0 where there is none."""

    def get_expiry(self, key: str) -> float:
        """Return the moment at which it ends, by the counters' clock."""

    def clear(self, key: str) -> None:
        """End it."""


class MemoryCounters:
    """Counters of this process, the least used given up where there are too many.

    The library's own walk through all of them after each change, and have no bound.
    """

    def __init__(self, clock: Callable[[], float], *, most: int = MOST_KEPT) -> None:
        self._clock, self._most = clock, most
        self._counters: dict[str, tuple[int, float]] = {}  # what each is, and when it ends
        self._lock = Lock()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        with self._lock:
            now = self._clock()
            value, ends = self._counters.pop(key, (0, 0.0))
            if ends <= now:
                value, ends = 0, now + expiry
            self._counters[key] = value + amount, ends
            if len(self._counters) > self._most:
                del self._counters[next(iter(self._counters))]
            return value + amount

    def get(self, key: str) -> int:
        value, ends = self._counters.get(key, (0, 0.0))
        return value if ends > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        return self._counters.get(key, (0, self._clock()))[1]

    def clear(self, key: str) -> None:
        with self._lock:
            self._counters.pop(key, None)


@dataclass(frozen=True)
class LoginAttempt:
    """A try to prove to be a user, and the keys that it is counted under.

    `group` is set where it goes ahead of others: the key that its place in the queue counts under. `is_allowed` is
    true where it does not wait for wrong guesses, either.
    """

    guesses: "LoginThrottle"
    keys: tuple[str, ...]
    known: str
    group: str | None
    is_allowed: bool = False

    def check(self) -> None:
        """Raise TooManyGuesses where it must wait, and LoginsUnavailable where that can't be known."""
        if not self.is_allowed:
            self.guesses.check(self.keys)

    def fail(self) -> None:
        """Count it: the password was wrong. Raises LoginsUnavailable."""
        self.guesses.count(self.keys)

    def succeed(self) -> None:
        """Take note that it was right: the account's failures from here are forgotten, and it is known here."""
        self.guesses.forget(self.keys, known=self.known)


class LoginThrottle:
    """Counts what is tried, by account and by client.

    A client from which an account logged in lately counts by itself for that account, so that nobody elsewhere can
    keep its owner out. Neither names nor addresses stand in a store, only keyed hashes of them.
    """

    def __init__(
        self, keys: Fingerprints, *, counters: Counters, known: Counters, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys, self._counters, self._known, self._clock = keys, counters, known, clock
        self._rests_until = -math.inf

    @classmethod
    def in_memory(cls, keys: Fingerprints, *, clock: Callable[[], float] = time.monotonic) -> "LoginThrottle":
        """Return what counts in this process alone."""
        return cls(keys, counters=MemoryCounters(clock), known=MemoryCounters(clock), clock=clock)

    @classmethod
    def from_settings(cls, settings: Settings, keys: Fingerprints) -> "LoginThrottle":
        """Return what counts where the settings say: in a store that replicas share, or in memory."""
        if settings.limits_store is None:
            return cls.in_memory(keys)
        store = open_store(settings.limits_store)
        return cls(keys, counters=store, known=store, clock=time.time)

    def attempt(
        self, username: str, client: str, *, has_token: bool = False, may_go_ahead: Callable[[], bool] = lambda: False
    ) -> LoginAttempt:
        """Return a try of somebody at the client to prove to be the user, before any work is done for it.

        `may_go_ahead` says whether the user is one of `intake allow-login`. Raises TooManyGuesses where the try must
        wait, and LoginsUnavailable where that can't be known.
        """
        usual = self._usual(username.casefold(), client, has_token=has_token)
        left_s = self._left_s(usual.keys)
        if (usual.group is None or left_s) and may_go_ahead() and self._takes_allowed_try(username, client):
            group = f"allowed:{self._keys.fingerprint(username.casefold())}"
            return replace(usual, group=group, is_allowed=True)
        _refuse_for(left_s)
        return usual

    def _usual(self, name: str, client: str, *, has_token: bool) -> LoginAttempt:
        account, pair = self._keys.fingerprint(name), self._pair(name, client)
        with self._store():
            if self._known.get(f"known:{pair}"):
                return LoginAttempt(self, (f"pair:{pair}",), f"known:{pair}", group=f"pair:{pair}")
        if has_token:  # who holds a token does not wait for those who only know the name
            return LoginAttempt(self, (f"holder:{account}",), f"known:{pair}", group=f"holder:{account}")
        keys = f"client:{self._keys.fingerprint(client)}", f"account:{account}"
        return LoginAttempt(self, keys, f"known:{pair}", group=None)

    def _takes_allowed_try(self, username: str, client: str) -> bool:
        """Count one of the user's tries of this minute, and return whether there was one left for the client."""
        name = username.casefold()
        with self._store():
            of_client = self._counters.incr(f"allowed:{self._pair(name, client)}", 60)
            return (
                of_client <= ALLOWED_TRIES_OF_CLIENT
                and self._counters.incr(f"allowed:{self._keys.fingerprint(name)}", 60) <= ALLOWED_TRIES
            )

    def check(self, keys: tuple[str, ...]) -> None:
        """Raise TooManyGuesses where a try counted under the keys must wait, or LoginsUnavailable."""
        _refuse_for(self._left_s(keys))

    def _left_s(self, keys: tuple[str, ...]) -> int:
        """Return how long a try counted under the keys must wait, 0 where it need not."""
        with self._store():
            waiting = [f"wait:{key}" for key in keys if self._counters.get(f"wait:{key}")]
            if not waiting:
                return 0
            left_s = math.ceil(max(map(self._counters.get_expiry, waiting)) - self._clock())
            return min(max(left_s, 1), MAX_WAIT_S)

    def count(self, keys: tuple[str, ...]) -> None:
        """Count a wrong guess under each of the keys, and let the next one wait. Raises LoginsUnavailable."""
        with self._store():
            for key in keys:
                failed = self._counters.incr(f"failed:{key}", FORGOTTEN_AFTER_S)
                if failed >= FREE_ATTEMPTS:
                    self._counters.clear(f"wait:{key}")
                    self._counters.incr(f"wait:{key}", min(2 ** min(failed - FREE_ATTEMPTS, 16), MAX_WAIT_S))

    def forget(self, keys: tuple[str, ...], *, known: str) -> None:
        """Forget an account's wrong guesses, and take note that it is known at the client."""
        with suppress(RateLimiterUnavailable), self._store():  # what was right is right
            for key in keys:
                # the client's others stay: who has an account could else guess at another for ever
                if not key.startswith("client:"):
                    self._counters.clear(f"failed:{key}")
                    self._counters.clear(f"wait:{key}")  # which an allowed try did not wait for
            self._known.clear(known)
            self._known.incr(known, KNOWN_FOR_S)

    def remember(self, username: str, client: str) -> None:
        """Take note that the user logged in from the client lately."""
        self._known.incr(f"known:{self._pair(username.casefold(), client)}", KNOWN_FOR_S)

    def notes_unknown(self) -> bool:
        """Return whether one more failure under a name that is nobody's is worth writing down."""
        with suppress(RateLimiterUnavailable), self._store():
            return self._counters.incr("unknown", FORGOTTEN_AFTER_S) <= UNKNOWN_NAMES_NOTED
        return True

    def _pair(self, username_key: str, client: str) -> str:
        return self._keys.fingerprint(f"{username_key}\n{client}")

    @contextmanager
    def _store(self) -> Iterator[None]:
        unavailable = RateLimiterUnavailable(
            "failed logins can't be counted now, so none is taken; try again in a moment"
        )
        if self._clock() < self._rests_until:
            raise unavailable
        try:
            yield
        except StorageError as error:
            self._rests_until = self._clock() + PAUSE_S
            log.warning(
                "the store of INTAKE_LIMITS_STORE is away, and no login is taken: %s", type(error.__cause__).__name__
            )
            raise unavailable from error


def _refuse_for(left_s: int) -> None:
    if left_s:
        raise LoginThrottled("too many wrong passwords; try again later", retry_after_s=left_s)

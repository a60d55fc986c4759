"""Login throttling with exponential backoff."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from intake.database.installation import Fingerprints
from intake.errors import LoginThrottled, RateLimiterUnavailable
from intake.rate_limits.memory_store import MemoryCounters
from intake.rate_limits.redis_store import RedisStore

FREE_ATTEMPTS = 5  # wrong passwords until the first wait
MAX_WAIT_S = 300
FAILURES_EXPIRE_S = 3600  # after the first of them
KNOWN_FOR_S = 30 * 86400
MAX_AUDITED_UNKNOWN = 1000  # failures per hour, after which those under unknown names are not recorded
MAX_ALLOWED = 6  # attempts per minute, for a user of `intake allow-login`
MAX_ALLOWED_ANYWHERE = 3  # of these from one address, so that one attacker can't use all of them

Counters = MemoryCounters | RedisStore


@dataclass(frozen=True)
class LoginAttempt:
    """One check of a password, and the keys that a failure is counted under.

    `group` is set for an attempt that goes ahead of others: its key in the hashing queue. `is_allowed` is true if it
    does not wait for failures of others, either.
    """

    keys: tuple[str, ...]
    known_key: str
    group: str | None
    is_allowed: bool = False


class LoginThrottle:
    """Counts wrong passwords by account and by client.

    A client from which an account logged in lately has separate counters for that account, so that no other client
    can lock its owner out. Counters are stored under keyed hashes of names and addresses.
    """

    def __init__(self, fingerprints: Fingerprints, *, counters: Counters, known: Counters) -> None:
        self._fingerprints, self._counters, self._known = fingerprints, counters, known

    @classmethod
    def in_memory(cls, fingerprints: Fingerprints, *, clock: Callable[[], float] = time.monotonic) -> "LoginThrottle":
        """Return a throttle for this process alone."""
        return cls(fingerprints, counters=MemoryCounters(clock=clock), known=MemoryCounters(clock=clock))

    def attempt(
        self, username: str, client: str, *, has_token: bool = False, allowed: Callable[[], int] = lambda: 0
    ) -> LoginAttempt:
        """Return an attempt to log in, before any password is hashed for it.

        `allowed` returns how many attempts per minute `intake allow-login` gives the user at this client. Raises
        LoginThrottled if the attempt must wait, RateLimiterUnavailable if that is unknown.
        """
        usual = self._usual(username.casefold(), client, has_token=has_token)
        wait_s = self._wait_s(usual)
        if (usual.group is None or wait_s) and self._take_allowed(username.casefold(), client, allowed()):
            group = f"allowed:{self._fingerprints.fingerprint(username.casefold())}"
            return replace(usual, group=group, is_allowed=True)
        _raise_if_throttled(wait_s)
        return usual

    def check(self, attempt: LoginAttempt) -> None:
        """Raise LoginThrottled if the attempt must wait, RateLimiterUnavailable if that is unknown."""
        if not attempt.is_allowed:
            _raise_if_throttled(self._wait_s(attempt))

    def fail(self, attempt: LoginAttempt) -> None:
        """Count a wrong password under each of the keys, and set the next wait. Raises RateLimiterUnavailable."""
        for key in attempt.keys:
            failures = self._counters.increment(f"failed:{key}", expiry_s=FAILURES_EXPIRE_S)
            if failures >= FREE_ATTEMPTS:
                self._counters.clear(f"wait:{key}")
                wait_s = min(2 ** min(failures - FREE_ATTEMPTS, 16), MAX_WAIT_S)
                self._counters.increment(f"wait:{key}", expiry_s=wait_s)

    def succeed(self, attempt: LoginAttempt) -> None:
        """Clear the account's failures, and remember that it is known at this client."""
        with suppress(RateLimiterUnavailable):  # the password was right all the same
            for key in attempt.keys:
                # the client's failures remain: the owner of an account must not guess others' passwords without limit
                if not key.startswith("client:"):
                    self._counters.clear(f"failed:{key}")
                    self._counters.clear(f"wait:{key}")  # still set after an allowed attempt
            self._known.clear(attempt.known_key)
            self._known.increment(attempt.known_key, expiry_s=KNOWN_FOR_S)

    def remember(self, username: str, client: str) -> None:
        """Remember that the user logged in from the client lately."""
        self._known.increment(f"known:{self._pair(username.casefold(), client)}", expiry_s=KNOWN_FOR_S)

    def should_audit_unknown(self) -> bool:
        """Count a failure under any name, and return whether the audit trail should record it if it is unknown."""
        with suppress(RateLimiterUnavailable):
            return self._counters.increment("unknown", expiry_s=FAILURES_EXPIRE_S) <= MAX_AUDITED_UNKNOWN
        return True

    def _usual(self, name: str, client: str, *, has_token: bool) -> LoginAttempt:
        account, pair = self._fingerprints.fingerprint(name), self._pair(name, client)
        if self._known.time_left_s(f"known:{pair}"):
            return LoginAttempt((f"pair:{pair}",), f"known:{pair}", group=f"pair:{pair}")
        if has_token:  # the owner of a token does not wait for those who only know the name
            return LoginAttempt((f"holder:{account}",), f"known:{pair}", group=f"holder:{account}")
        keys = f"client:{self._fingerprints.fingerprint(client)}", f"account:{account}"
        return LoginAttempt(keys, f"known:{pair}", group=None)

    def _take_allowed(self, name: str, client: str, most: int) -> bool:
        """Count an attempt of the user in this minute, and return whether one of `most` was left for the client."""
        if not most:
            return False
        of_client = self._counters.increment(f"allowed:{self._pair(name, client)}", expiry_s=60)
        if of_client > most or most == MAX_ALLOWED:  # then no other address counts
            return of_client <= most
        return self._counters.increment(f"allowed:{self._fingerprints.fingerprint(name)}", expiry_s=60) <= MAX_ALLOWED

    def _wait_s(self, attempt: LoginAttempt) -> int:
        return min(math.ceil(max(self._counters.time_left_s(f"wait:{key}") for key in attempt.keys)), MAX_WAIT_S)

    def _pair(self, name: str, client: str) -> str:
        return self._fingerprints.fingerprint(f"{name}\n{client}")


def _raise_if_throttled(wait_s: int) -> None:
    if wait_s:
        raise LoginThrottled("too many wrong passwords; try again later", retry_after_s=wait_s)

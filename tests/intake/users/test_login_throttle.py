"""Login throttling, with a clock that tests advance."""

import pytest

from intake.database.installation import Fingerprints
from intake.errors import LoginThrottled, RateLimiterUnavailable
from intake.rate_limits.memory_store import MemoryCounters
from intake.users.login_throttle import (
    FREE_ATTEMPTS,
    KNOWN_FOR_S,
    MAX_AUDITED_UNKNOWN,
    MAX_WAIT_S,
    LoginThrottle,
)

KEYS = Fingerprints(b"s" * 32)
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> LoginThrottle:
    return LoginThrottle.in_memory(KEYS, clock=clock)


def wait_s(throttle: LoginThrottle, username: str = "ada", client: str = HOME, *, has_token: bool = False) -> int:
    """Return the seconds that a try must wait."""
    try:
        throttle.attempt(username, client, has_token=has_token)
    except LoginThrottled as error:
        return error.retry_after_s
    return 0


def fail(
    throttle: LoginThrottle, times: int = 1, username: str = "ada", client: str = HOME, *, has_token: bool = False
) -> None:
    attempt = throttle.attempt(username, client, has_token=has_token)
    for _ in range(times):
        throttle.fail(attempt)


def test_the_wait_doubles_up_to_a_maximum_and_expires(throttle: LoginThrottle, clock: Clock) -> None:
    fail(throttle, FREE_ATTEMPTS - 1)
    assert wait_s(throttle) == 0
    waits = []
    for _ in range(12):
        fail(throttle)
        waits.append(wait_s(throttle))
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert wait_s(throttle) == 0
    clock.now += 3600
    fail(throttle, FREE_ATTEMPTS - 1)
    assert wait_s(throttle) == 0, "failures expire after an hour"


def test_the_time_left_is_reported(throttle: LoginThrottle, clock: Clock) -> None:
    fail(throttle, FREE_ATTEMPTS + 4)
    assert wait_s(throttle) == 16
    clock.now += 10.5
    assert wait_s(throttle) == 6
    clock.now += 5.4
    assert wait_s(throttle) == 1
    clock.now += 0.2
    assert wait_s(throttle) == 0


def test_case_of_names_is_ignored(throttle: LoginThrottle) -> None:
    for number, name in enumerate(("ada", "ADA", "Ada", "aDa", "adA")):
        fail(throttle, username=name, client=f"203.0.113.{number}")
    assert wait_s(throttle, "aDA", ELSEWHERE) == 1
    assert wait_s(throttle, "grace", ELSEWHERE) == 0


def test_a_client_is_counted_across_names(throttle: LoginThrottle) -> None:
    for number in range(FREE_ATTEMPTS):
        fail(throttle, username=f"name{number}")
    assert wait_s(throttle, "another") == 1
    assert wait_s(throttle, "another", ELSEWHERE) == 0


def test_guesses_from_many_addresses_do_not_slow_the_owner(throttle: LoginThrottle, clock: Clock) -> None:
    throttle.succeed(throttle.attempt("Ada", HOME))
    for number in range(20):
        client = f"203.0.113.{number}"
        clock.now += wait_s(throttle, "ada", client)
        fail(throttle, username="ada", client=client)
    assert wait_s(throttle, "ada", ELSEWHERE) == MAX_WAIT_S
    assert wait_s(throttle, "ada", HOME) == 0
    fail(throttle, FREE_ATTEMPTS, username="ada", client=HOME)
    assert wait_s(throttle, "ada", HOME) == 1, "there it counts by itself"
    throttle.attempt("grace", HOME)


def test_guesses_from_the_same_address_do_not_slow_a_known_user(throttle: LoginThrottle) -> None:
    throttle.succeed(throttle.attempt("ada", HOME))
    fail(throttle, FREE_ATTEMPTS + 5, username="nobody", client=HOME)
    assert (wait_s(throttle, "nobody", HOME), wait_s(throttle, "ada", HOME)) == (32, 0)


def test_known_clients_expire(throttle: LoginThrottle, clock: Clock) -> None:
    throttle.remember("Ada", HOME)
    clock.now += KNOWN_FOR_S - 1
    fail(throttle, FREE_ATTEMPTS, username="ada", client=ELSEWHERE)
    assert wait_s(throttle, "ada", HOME) == 0
    clock.now += 1
    fail(throttle, FREE_ATTEMPTS, username="ada", client="203.0.113.1")
    assert wait_s(throttle, "ada", HOME) > 0


def test_a_success_clears_the_accounts_failures_but_not_the_clients(throttle: LoginThrottle) -> None:
    fail(throttle, FREE_ATTEMPTS - 1)
    throttle.succeed(throttle.attempt("ada", HOME))
    fail(throttle, FREE_ATTEMPTS - 1, client=ELSEWHERE)
    assert wait_s(throttle, "ada", ELSEWHERE) == 0
    fail(throttle, username="grace", client=HOME)
    assert wait_s(throttle, "grace", HOME) == 1, "its own login does not make an attacker's guesses free"


def test_a_user_with_a_token_is_not_slowed_by_anonymous_guesses(throttle: LoginThrottle) -> None:
    fail(throttle, FREE_ATTEMPTS + 3, client=ELSEWHERE)
    assert wait_s(throttle, "ada", HOME) == 8
    assert wait_s(throttle, "ada", HOME, has_token=True) == 0
    fail(throttle, FREE_ATTEMPTS, client=HOME, has_token=True)
    assert wait_s(throttle, "ada", "203.0.113.9", has_token=True) == 1


def test_concurrent_attempts_are_checked_again_in_their_turn(throttle: LoginThrottle) -> None:
    attempts = [throttle.attempt("ada", HOME) for _ in range(20)]
    for attempt in attempts[:FREE_ATTEMPTS]:
        throttle.check(attempt)
        throttle.fail(attempt)
    for attempt in attempts[FREE_ATTEMPTS:]:
        with pytest.raises(LoginThrottled):
            throttle.check(attempt)


def test_memory_is_bounded(clock: Clock) -> None:
    memory = MemoryCounters(max_counters=100, clock=clock)
    throttle = LoginThrottle(KEYS, counters=memory, known=MemoryCounters(clock=clock))
    for number in range(1000):
        throttle.fail(throttle.attempt(f"name{number}", f"client{number}"))
    assert len(memory) == 100


def test_failures_under_unknown_names_are_audited_a_thousand_times_per_hour(
    throttle: LoginThrottle, clock: Clock
) -> None:
    assert [throttle.should_audit_unknown() for _ in range(MAX_AUDITED_UNKNOWN + 1)].count(True) == MAX_AUDITED_UNKNOWN
    clock.now += 3600
    assert throttle.should_audit_unknown()


class UnavailableCounters(MemoryCounters):
    """Counters in Redis, which becomes unavailable."""

    is_unavailable = False

    def time_left_s(self, key: str) -> float:
        if self.is_unavailable:
            raise RateLimiterUnavailable("redis is unavailable")
        return super().time_left_s(key)

    def increment(self, key: str, *, expiry_s: int) -> int:
        self.time_left_s(key)
        return super().increment(key, expiry_s=expiry_s)


def test_without_counters_logins_are_refused_and_a_right_password_is_not(clock: Clock) -> None:
    counters = UnavailableCounters(clock=clock)
    throttle = LoginThrottle(KEYS, counters=counters, known=counters)
    attempt = throttle.attempt("ada", HOME)
    counters.is_unavailable = True
    with pytest.raises(RateLimiterUnavailable):
        throttle.fail(attempt)
    with pytest.raises(RateLimiterUnavailable):
        throttle.attempt("ada", HOME)
    throttle.succeed(attempt)
    assert throttle.should_audit_unknown()
    counters.is_unavailable = False
    throttle.attempt("ada", HOME)


def test_no_names_and_addresses_are_stored(clock: Clock) -> None:
    store = MemoryCounters(clock=clock)
    throttle = LoginThrottle(KEYS, counters=store, known=store)
    fail(throttle, FREE_ATTEMPTS, username="hunter22", client=HOME)
    throttle.remember("hunter22", HOME)
    assert not any("hunter22" in key or HOME in key for key in store._counters)


def allowed(throttle: LoginThrottle, username: str = "ada", client: str = HOME, *, tries: int = 3) -> bool:
    """Return whether a try of a user of `intake allow-login` goes ahead without a wait."""
    try:
        return throttle.attempt(username, client, allowed=lambda: tries).is_allowed
    except LoginThrottled:
        return False


def test_known_clients_and_tokens_go_ahead(throttle: LoginThrottle) -> None:
    assert throttle.attempt("ada", HOME).group is None
    throttle.remember("ada", HOME)
    assert throttle.attempt("Ada", HOME).group
    assert throttle.attempt("ada", ELSEWHERE).group is None
    assert throttle.attempt("grace", HOME).group is None
    assert throttle.attempt("ada", ELSEWHERE, has_token=True).group


def test_an_allowed_user_has_six_tries_per_minute_without_a_wait(throttle: LoginThrottle, clock: Clock) -> None:
    fail(throttle, FREE_ATTEMPTS + 9, client="203.0.113.1")
    clients = [f"198.51.100.{number}" for number in range(7)]
    assert [allowed(throttle, client=client) for client in clients] == [True] * 6 + [False]
    clock.now += 60
    assert allowed(throttle)
    assert wait_s(throttle, client=ELSEWHERE) > 200, "only for allowed users"


def test_one_address_may_use_half_of_the_allowed_tries(throttle: LoginThrottle) -> None:
    fail(throttle, FREE_ATTEMPTS + 9)
    assert [allowed(throttle, client=HOME) for _ in range(100)].count(True) == 3
    assert [allowed(throttle, client=ELSEWHERE) for _ in range(100)].count(True) == 3


def test_tries_elsewhere_do_not_count_if_one_address_is_allowed(throttle: LoginThrottle) -> None:
    fail(throttle, FREE_ATTEMPTS + 9, client=ELSEWHERE)
    for number in range(20):
        assert not allowed(throttle, client=f"203.0.113.{number}", tries=0)
    assert [allowed(throttle, tries=6) for _ in range(9)].count(True) == 6


def test_a_successful_allowed_try_ends_the_wait(throttle: LoginThrottle) -> None:
    throttle.remember("ada", HOME)
    fail(throttle, FREE_ATTEMPTS + 9)
    assert wait_s(throttle) == MAX_WAIT_S
    attempt = throttle.attempt("ada", HOME, allowed=lambda: 3)
    throttle.check(attempt)
    throttle.succeed(attempt)
    assert wait_s(throttle) == 0


def test_an_allowed_try_is_used_only_if_needed(throttle: LoginThrottle) -> None:
    throttle.remember("ada", HOME)
    assert [allowed(throttle) for _ in range(9)] == [False] * 9, "known here, and none was wrong"
    fail(throttle, FREE_ATTEMPTS)
    assert allowed(throttle)

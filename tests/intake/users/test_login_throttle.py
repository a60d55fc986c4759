"""How long who guesses must wait; no test waits itself."""

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
    """A clock that goes on when it is told to."""

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
    """Return how long a try must wait, 0 where it need not."""
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
        attempt.fail()


def test_the_wait_doubles_up_to_a_bound_and_is_over_by_itself(throttle: LoginThrottle, clock: Clock) -> None:
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
    assert wait_s(throttle) == 0, "an hour later they are forgotten"


def test_what_is_left_of_a_wait_is_told(throttle: LoginThrottle, clock: Clock) -> None:
    fail(throttle, FREE_ATTEMPTS + 4)
    assert wait_s(throttle) == 16
    clock.now += 10.5
    assert wait_s(throttle) == 6
    clock.now += 5.4
    assert wait_s(throttle) == 1
    clock.now += 0.2
    assert wait_s(throttle) == 0


def test_names_count_without_regard_to_case(throttle: LoginThrottle) -> None:
    for number, name in enumerate(("ada", "ADA", "Ada", "aDa", "adA")):
        fail(throttle, username=name, client=f"203.0.113.{number}")
    assert wait_s(throttle, "aDA", ELSEWHERE) == 1
    assert wait_s(throttle, "grace", ELSEWHERE) == 0


def test_a_client_counts_whatever_names_it_tries(throttle: LoginThrottle) -> None:
    for number in range(FREE_ATTEMPTS):
        fail(throttle, username=f"name{number}")
    assert wait_s(throttle, "another") == 1
    assert wait_s(throttle, "another", ELSEWHERE) == 0


def test_who_guesses_from_many_addresses_slows_strangers_and_never_the_owner(
    throttle: LoginThrottle, clock: Clock
) -> None:
    throttle.attempt("Ada", HOME).succeed()
    for number in range(20):
        client = f"203.0.113.{number}"
        clock.now += wait_s(throttle, "ada", client)
        fail(throttle, username="ada", client=client)
    assert wait_s(throttle, "ada", ELSEWHERE) == MAX_WAIT_S
    assert wait_s(throttle, "ada", HOME) == 0
    fail(throttle, FREE_ATTEMPTS, username="ada", client=HOME)
    assert wait_s(throttle, "ada", HOME) == 1, "there it counts by itself"
    throttle.attempt("grace", HOME)


def test_a_neighbour_s_guesses_do_not_slow_who_is_known_there(throttle: LoginThrottle) -> None:
    throttle.attempt("ada", HOME).succeed()
    fail(throttle, FREE_ATTEMPTS + 5, username="nobody", client=HOME)
    assert (wait_s(throttle, "nobody", HOME), wait_s(throttle, "ada", HOME)) == (32, 0)


def test_where_one_was_long_ago_one_is_known_no_more(throttle: LoginThrottle, clock: Clock) -> None:
    throttle.remember("Ada", HOME)
    clock.now += KNOWN_FOR_S - 1
    fail(throttle, FREE_ATTEMPTS, username="ada", client=ELSEWHERE)
    assert wait_s(throttle, "ada", HOME) == 0
    clock.now += 1
    fail(throttle, FREE_ATTEMPTS, username="ada", client="203.0.113.1")
    assert wait_s(throttle, "ada", HOME) > 0


def test_a_success_forgets_the_account_s_failures_and_not_the_client_s(throttle: LoginThrottle) -> None:
    fail(throttle, FREE_ATTEMPTS - 1)
    throttle.attempt("ada", HOME).succeed()
    fail(throttle, FREE_ATTEMPTS - 1, client=ELSEWHERE)
    assert wait_s(throttle, "ada", ELSEWHERE) == 0
    fail(throttle, username="grace", client=HOME)
    assert wait_s(throttle, "grace", HOME) == 1, "its own login does not make an attacker's guesses free"


def test_who_holds_a_token_does_not_wait_for_who_knows_the_name(throttle: LoginThrottle) -> None:
    fail(throttle, FREE_ATTEMPTS + 3, client=ELSEWHERE)
    assert wait_s(throttle, "ada", HOME) == 8
    assert wait_s(throttle, "ada", HOME, has_token=True) == 0
    fail(throttle, FREE_ATTEMPTS, client=HOME, has_token=True)
    assert wait_s(throttle, "ada", "203.0.113.9", has_token=True) == 1


def test_of_many_that_came_at_once_the_later_ones_are_refused_when_their_turn_comes(throttle: LoginThrottle) -> None:
    attempts = [throttle.attempt("ada", HOME) for _ in range(20)]
    for attempt in attempts[:FREE_ATTEMPTS]:
        attempt.check()
        attempt.fail()
    for attempt in attempts[FREE_ATTEMPTS:]:
        with pytest.raises(LoginThrottled):
            attempt.check()


def test_memory_is_bounded(clock: Clock) -> None:
    memory = MemoryCounters(max_counters=100, clock=clock)
    throttle = LoginThrottle(KEYS, counters=memory, known=MemoryCounters(clock=clock))
    for number in range(1000):
        throttle.attempt(f"name{number}", f"client{number}").fail()
    assert len(memory) == 100


def test_failures_under_names_that_are_nobody_s_are_noted_a_thousand_times_an_hour(
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
        attempt.fail()
    with pytest.raises(RateLimiterUnavailable):
        throttle.attempt("ada", HOME)
    attempt.succeed()
    assert throttle.should_audit_unknown()
    counters.is_unavailable = False
    throttle.attempt("ada", HOME)


def test_no_name_and_no_address_stands_in_a_store(clock: Clock) -> None:
    store = MemoryCounters(clock=clock)
    throttle = LoginThrottle(KEYS, counters=store, known=store)
    fail(throttle, FREE_ATTEMPTS, username="hunter22", client=HOME)
    throttle.remember("hunter22", HOME)
    assert not any("hunter22" in key or HOME in key for key in store._counters)


def allowed(throttle: LoginThrottle, username: str = "ada", client: str = HOME) -> bool:
    """Return whether a try of a user of `intake allow-login` goes ahead without a wait."""
    try:
        return throttle.attempt(username, client, may_go_ahead=lambda: True).is_allowed
    except LoginThrottled:
        return False


def test_who_goes_ahead_is_known_there_or_has_a_token(throttle: LoginThrottle) -> None:
    assert throttle.attempt("ada", HOME).group is None
    throttle.remember("ada", HOME)
    assert throttle.attempt("Ada", HOME).group
    assert throttle.attempt("ada", ELSEWHERE).group is None
    assert throttle.attempt("grace", HOME).group is None
    assert throttle.attempt("ada", ELSEWHERE, has_token=True).group


def test_who_is_allowed_waits_for_no_guesses_six_times_a_minute(throttle: LoginThrottle, clock: Clock) -> None:
    fail(throttle, FREE_ATTEMPTS + 9, client="203.0.113.1")
    clients = [f"198.51.100.{number}" for number in range(7)]
    assert [allowed(throttle, client=client) for client in clients] == [True] * 6 + [False]
    clock.now += 60
    assert allowed(throttle)
    assert wait_s(throttle, client=ELSEWHERE) > 200, "only where it may"


def test_one_address_takes_half_of_the_allowed_tries_at_the_most(throttle: LoginThrottle) -> None:
    fail(throttle, FREE_ATTEMPTS + 9)
    assert [allowed(throttle, client=HOME) for _ in range(100)].count(True) == 3
    assert [allowed(throttle, client=ELSEWHERE) for _ in range(100)].count(True) == 3


def test_an_allowed_try_that_is_right_ends_the_wait_and_makes_the_address_known(throttle: LoginThrottle) -> None:
    throttle.remember("ada", HOME)
    fail(throttle, FREE_ATTEMPTS + 9)
    assert wait_s(throttle) == MAX_WAIT_S
    attempt = throttle.attempt("ada", HOME, may_go_ahead=lambda: True)
    attempt.check()
    attempt.succeed()
    assert wait_s(throttle) == 0


def test_an_allowed_try_is_taken_only_where_it_is_needed(throttle: LoginThrottle) -> None:
    throttle.remember("ada", HOME)
    assert [allowed(throttle) for _ in range(9)] == [False] * 9, "known here, and none was wrong"
    fail(throttle, FREE_ATTEMPTS)
    assert allowed(throttle)

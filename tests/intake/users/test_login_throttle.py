"""How long who guesses must wait; no test waits itself."""

import logging

import pytest
from limits.errors import StorageError

from intake.database.installation import Fingerprints
from intake.errors import LoginThrottled, RateLimiterUnavailable
from intake.users.login_throttle import (
    FREE_ATTEMPTS,
    KNOWN_FOR_S,
    MAX_WAIT_S,
    UNKNOWN_NAMES_NOTED,
    LoginThrottle,
    MemoryCounters,
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
def guesses(clock: Clock) -> LoginThrottle:
    return LoginThrottle.in_memory(KEYS, clock=clock)


def wait_s(guesses: LoginThrottle, username: str = "ada", client: str = HOME, *, has_token: bool = False) -> int:
    """Return how long a try must wait, 0 where it need not."""
    try:
        guesses.attempt(username, client, has_token=has_token)
    except LoginThrottled as error:
        return error.retry_after_s
    return 0


def fail(
    guesses: LoginThrottle, times: int = 1, username: str = "ada", client: str = HOME, *, has_token: bool = False
) -> None:
    attempt = guesses.attempt(username, client, has_token=has_token)
    for _ in range(times):
        attempt.fail()


def test_the_wait_doubles_up_to_a_bound_and_is_over_by_itself(guesses: LoginThrottle, clock: Clock) -> None:
    fail(guesses, FREE_ATTEMPTS - 1)
    assert wait_s(guesses) == 0
    waits = []
    for _ in range(12):
        fail(guesses)
        waits.append(wait_s(guesses))
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert wait_s(guesses) == 0
    clock.now += 3600
    fail(guesses, FREE_ATTEMPTS - 1)
    assert wait_s(guesses) == 0, "an hour later they are forgotten"


def test_what_is_left_of_a_wait_is_told(guesses: LoginThrottle, clock: Clock) -> None:
    fail(guesses, FREE_ATTEMPTS + 4)
    assert wait_s(guesses) == 16
    clock.now += 10.5
    assert wait_s(guesses) == 6
    clock.now += 5.4
    assert wait_s(guesses) == 1
    clock.now += 0.2
    assert wait_s(guesses) == 0


def test_names_count_without_regard_to_case(guesses: LoginThrottle) -> None:
    for number, name in enumerate(("ada", "ADA", "Ada", "aDa", "adA")):
        fail(guesses, username=name, client=f"203.0.113.{number}")
    assert wait_s(guesses, "aDA", ELSEWHERE) == 1
    assert wait_s(guesses, "grace", ELSEWHERE) == 0


def test_a_client_counts_whatever_names_it_tries(guesses: LoginThrottle) -> None:
    for number in range(FREE_ATTEMPTS):
        fail(guesses, username=f"name{number}")
    assert wait_s(guesses, "another") == 1
    assert wait_s(guesses, "another", ELSEWHERE) == 0


def test_who_guesses_from_many_addresses_slows_strangers_and_never_the_owner(
    guesses: LoginThrottle, clock: Clock
) -> None:
    guesses.attempt("Ada", HOME).succeed()
    for number in range(20):
        client = f"203.0.113.{number}"
        clock.now += wait_s(guesses, "ada", client)
        fail(guesses, username="ada", client=client)
    assert wait_s(guesses, "ada", ELSEWHERE) == MAX_WAIT_S
    assert wait_s(guesses, "ada", HOME) == 0
    fail(guesses, FREE_ATTEMPTS, username="ada", client=HOME)
    assert wait_s(guesses, "ada", HOME) == 1, "there it counts by itself"
    guesses.attempt("grace", HOME)


def test_a_neighbour_s_guesses_do_not_slow_who_is_known_there(guesses: LoginThrottle) -> None:
    guesses.attempt("ada", HOME).succeed()
    fail(guesses, FREE_ATTEMPTS + 5, username="nobody", client=HOME)
    assert (wait_s(guesses, "nobody", HOME), wait_s(guesses, "ada", HOME)) == (32, 0)


def test_where_one_was_long_ago_one_is_known_no_more(guesses: LoginThrottle, clock: Clock) -> None:
    guesses.remember("Ada", HOME)
    clock.now += KNOWN_FOR_S - 1
    fail(guesses, FREE_ATTEMPTS, username="ada", client=ELSEWHERE)
    assert wait_s(guesses, "ada", HOME) == 0
    clock.now += 1
    fail(guesses, FREE_ATTEMPTS, username="ada", client="203.0.113.1")
    assert wait_s(guesses, "ada", HOME) > 0


def test_a_success_forgets_the_account_s_failures_and_not_the_client_s(guesses: LoginThrottle) -> None:
    fail(guesses, FREE_ATTEMPTS - 1)
    guesses.attempt("ada", HOME).succeed()
    fail(guesses, FREE_ATTEMPTS - 1, client=ELSEWHERE)
    assert wait_s(guesses, "ada", ELSEWHERE) == 0
    fail(guesses, username="grace", client=HOME)
    assert wait_s(guesses, "grace", HOME) == 1, "its own login does not make an attacker's guesses free"


def test_who_holds_a_token_does_not_wait_for_who_knows_the_name(guesses: LoginThrottle) -> None:
    fail(guesses, FREE_ATTEMPTS + 3, client=ELSEWHERE)
    assert wait_s(guesses, "ada", HOME) == 8
    assert wait_s(guesses, "ada", HOME, has_token=True) == 0
    fail(guesses, FREE_ATTEMPTS, client=HOME, has_token=True)
    assert wait_s(guesses, "ada", "203.0.113.9", has_token=True) == 1


def test_of_many_that_came_at_once_the_later_ones_are_refused_when_their_turn_comes(guesses: LoginThrottle) -> None:
    attempts = [guesses.attempt("ada", HOME) for _ in range(20)]
    for attempt in attempts[:FREE_ATTEMPTS]:
        attempt.check()
        attempt.fail()
    for attempt in attempts[FREE_ATTEMPTS:]:
        with pytest.raises(LoginThrottled):
            attempt.check()


def test_memory_is_bounded(clock: Clock) -> None:
    memory = MemoryCounters(clock, most=100)
    guesses = LoginThrottle(KEYS, counters=memory, known=MemoryCounters(clock), clock=clock)
    for number in range(1000):
        guesses.attempt(f"name{number}", f"client{number}").fail()
    assert len(memory._counters) == 100


def test_failures_under_names_that_are_nobody_s_are_noted_a_thousand_times_an_hour(
    guesses: LoginThrottle, clock: Clock
) -> None:
    assert [guesses.notes_unknown() for _ in range(UNKNOWN_NAMES_NOTED + 1)].count(True) == UNKNOWN_NAMES_NOTED
    clock.now += 3600
    assert guesses.notes_unknown()


class Away(MemoryCounters):
    """Counters in a store that does not answer, once it is away."""

    is_away = False
    asked = 0

    def get(self, key: str) -> int:
        self.asked += 1
        if self.is_away:
            raise StorageError(ConnectionError("redis://user:marked-secret@store"))
        return super().get(key)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        self.get(key)
        return super().incr(key, expiry, amount)


def test_without_its_store_no_login_is_taken_and_none_waits_for_it(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = Away(clock)
    guesses = LoginThrottle(KEYS, counters=store, known=store, clock=clock)
    attempt = guesses.attempt("ada", HOME)
    store.is_away = True
    with caplog.at_level(logging.INFO), pytest.raises(RateLimiterUnavailable):
        attempt.fail()
    asked = store.asked
    with pytest.raises(RateLimiterUnavailable):
        guesses.attempt("ada", HOME)
    assert store.asked == asked, "for a few seconds it is not even asked"
    attempt.succeed()
    assert guesses.notes_unknown()
    assert "INTAKE_LIMITS_STORE is away" in caplog.text
    assert "marked-secret" not in caplog.text
    store.is_away = False
    clock.now += 5
    guesses.attempt("ada", HOME)


def test_no_name_and_no_address_stands_in_a_store(clock: Clock) -> None:
    store = MemoryCounters(clock)
    guesses = LoginThrottle(KEYS, counters=store, known=store, clock=clock)
    fail(guesses, FREE_ATTEMPTS, username="hunter22", client=HOME)
    guesses.remember("hunter22", HOME)
    assert not any("hunter22" in key or HOME in key for key in store._counters)


def allowed(guesses: LoginThrottle, username: str = "ada", client: str = HOME) -> bool:
    """Return whether a try of a user of `intake allow-login` goes ahead without a wait."""
    try:
        return guesses.attempt(username, client, may_go_ahead=lambda: True).is_allowed
    except LoginThrottled:
        return False


def test_who_goes_ahead_is_known_there_or_has_a_token(guesses: LoginThrottle) -> None:
    assert guesses.attempt("ada", HOME).group is None
    guesses.remember("ada", HOME)
    assert guesses.attempt("Ada", HOME).group
    assert guesses.attempt("ada", ELSEWHERE).group is None
    assert guesses.attempt("grace", HOME).group is None
    assert guesses.attempt("ada", ELSEWHERE, has_token=True).group


def test_who_is_allowed_waits_for_no_guesses_six_times_a_minute(guesses: LoginThrottle, clock: Clock) -> None:
    fail(guesses, FREE_ATTEMPTS + 9, client="203.0.113.1")
    clients = [f"198.51.100.{number}" for number in range(7)]
    assert [allowed(guesses, client=client) for client in clients] == [True] * 6 + [False]
    clock.now += 60
    assert allowed(guesses)
    assert wait_s(guesses, client=ELSEWHERE) > 200, "only where it may"


def test_one_address_takes_half_of_the_allowed_tries_at_the_most(guesses: LoginThrottle) -> None:
    fail(guesses, FREE_ATTEMPTS + 9)
    assert [allowed(guesses, client=HOME) for _ in range(100)].count(True) == 3
    assert [allowed(guesses, client=ELSEWHERE) for _ in range(100)].count(True) == 3


def test_an_allowed_try_that_is_right_ends_the_wait_and_makes_the_address_known(guesses: LoginThrottle) -> None:
    guesses.remember("ada", HOME)
    fail(guesses, FREE_ATTEMPTS + 9)
    assert wait_s(guesses) == MAX_WAIT_S
    attempt = guesses.attempt("ada", HOME, may_go_ahead=lambda: True)
    attempt.check()
    attempt.succeed()
    assert wait_s(guesses) == 0


def test_an_allowed_try_is_taken_only_where_it_is_needed(guesses: LoginThrottle) -> None:
    guesses.remember("ada", HOME)
    assert [allowed(guesses) for _ in range(9)] == [False] * 9, "known here, and none was wrong"
    fail(guesses, FREE_ATTEMPTS)
    assert allowed(guesses)

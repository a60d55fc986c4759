"""How often each client may do something, counted in memory."""

import time
from concurrent.futures import ThreadPoolExecutor

import limits
import pytest

from intake.database.installation import Fingerprints
from intake.metrics import Metrics
from intake.rate_limits.limiter import RateLimiter
from intake.rate_limits.memory_store import MemoryWindows

SECOND, MINUTE, DAY = (limits.parse(text) for text in ("2/second", "3/minute", "4/day"))


@pytest.fixture
def limiter() -> RateLimiter:
    return RateLimiter(None, Metrics(), Fingerprints(b""))


def test_each_key_has_its_own_quota(limiter: RateLimiter) -> None:
    verdicts = [limiter.hit([MINUTE, DAY], "login", "ada") for _ in range(4)]
    assert [verdict.is_allowed for verdict in verdicts] == [True, True, True, False]
    assert [[quota.remaining for quota in verdict.quotas] for verdict in verdicts] == [[2, 3], [1, 2], [0, 1], [0, 1]]
    assert limiter.hit([MINUTE, DAY], "login", "peter").is_allowed
    assert limiter.hit([MINUTE, DAY], "register", "ada").is_allowed


def test_what_is_refused_does_not_count(limiter: RateLimiter) -> None:
    began = time.monotonic()
    assert [limiter.hit([SECOND], "x").is_allowed for _ in range(50)] == [True] * 2 + [False] * 48
    while not limiter.hit([SECOND], "x").is_allowed:
        time.sleep(0.01)
    assert 0.9 < time.monotonic() - began < 2


def test_the_longest_of_the_limits_that_are_used_up_tells_when(limiter: RateLimiter) -> None:
    for _ in range(2):
        limiter.hit([SECOND], "x")
    assert limiter.hit([SECOND], "x").retry_after_s == 1
    for _ in range(3):
        limiter.hit([MINUTE, DAY], "y")
    assert 58 <= limiter.hit([MINUTE, DAY], "y").retry_after_s <= 60


def test_to_look_counts_nothing_and_to_clear_forgets(limiter: RateLimiter) -> None:
    assert all(limiter.look([SECOND], "x").is_allowed for _ in range(5))
    limiter.hit([SECOND, MINUTE], "x")
    assert [quota.remaining for quota in limiter.look([SECOND, MINUTE], "x").quotas] == [1, 2]
    limiter.clear([SECOND, MINUTE], "x")
    assert [quota.remaining for quota in limiter.look([SECOND, MINUTE], "x").quotas] == [2, 3]


def test_of_many_at_once_no_more_than_allowed(limiter: RateLimiter) -> None:
    limit = limits.parse("100/minute")
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda _: limiter.hit([limit], "x").is_allowed, range(400)))
    assert sum(verdicts) == 100


def test_memory_is_bounded_and_keeps_who_hammers() -> None:
    windows = MemoryWindows(most_hits=1000)
    let_in = 0
    for number in range(5000):
        windows.acquire_entry(f"client {number}", 60, 60)
        let_in += windows.acquire_entry("hammering", 10, 86400)
    assert let_in == 10
    assert len(windows) == 1000
    assert len(windows._hits) == 991
    assert windows.get_moving_window("hammering", 10, 86400)[1] == 10
    assert windows.get_moving_window("client 4999", 60, 60)[1] == 1
    assert windows.get_moving_window("client 1", 60, 60)[1] == 0


def test_a_window_moves_on() -> None:
    windows = MemoryWindows()
    for _ in range(3):
        windows.acquire_entry("x", 3, 1)
    assert not windows.acquire_entry("x", 3, 1)
    time.sleep(1.05)
    assert windows.get_moving_window("x", 3, 1)[1] == 0
    assert windows.acquire_entry("x", 3, 1)
    assert len(windows) == 1
    windows.clear("x")
    assert len(windows) == 0

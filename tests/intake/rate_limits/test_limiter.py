"""Rate limits in memory; a clock is passed in, so no test sleeps."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.rate_limits.limiter import Quota, RateLimiter, RateLimitResult
from intake.rate_limits.memory_store import MemoryCounters, MemoryStore
from intake.settings.parsers import RateLimit, rate_limits

LIMITS = rate_limits("3/minute;4/day")
MINUTE, DAY = LIMITS


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Limiter:
    """A limiter on a test's clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._limiter = RateLimiter(MemoryStore(clock=self.clock))

    def hit(self, *limits: RateLimit, key: str = "ada") -> RateLimitResult:
        return asyncio.run(self._limiter.hit(limits, key))


@pytest.fixture
def limiter() -> Limiter:
    return Limiter()


def test_each_key_has_its_own_quota(limiter: Limiter) -> None:
    results = [limiter.hit(*LIMITS) for _ in range(4)]
    assert [result.is_allowed for result in results] == [True, True, True, False]
    assert [[quota.remaining for quota in result.quotas] for result in results] == [[2, 3], [1, 2], [0, 1], [0, 1]]
    assert limiter.hit(*LIMITS, key="peter").is_allowed


def test_a_quota_reports_when_it_is_full_again(limiter: Limiter) -> None:
    assert limiter.hit(*LIMITS).quotas == (
        Quota(LIMITS[0], remaining=2, reset_s=20),
        Quota(LIMITS[1], remaining=3, reset_s=21600),
    )


def test_an_nth_of_the_quota_is_available_after_an_nth_of_the_window(limiter: Limiter) -> None:
    assert [limiter.hit(MINUTE).is_allowed for _ in range(4)] == [True, True, True, False]
    limiter.clock.now += 19.9
    assert not limiter.hit(MINUTE).is_allowed
    limiter.clock.now += 0.1
    assert [limiter.hit(MINUTE).is_allowed for _ in range(2)] == [True, False]
    limiter.clock.now += 60
    assert [limiter.hit(MINUTE).is_allowed for _ in range(4)] == [True, True, True, False]


def test_a_request_refused_by_one_limit_is_counted_by_none(limiter: Limiter) -> None:
    for _ in range(50):
        result = limiter.hit(*LIMITS)
    assert [quota.remaining for quota in result.quotas] == [0, 1]
    assert result.retry_after_s == 20


def test_the_longest_wait_counts(limiter: Limiter) -> None:
    for _ in range(4):
        limiter.hit(*LIMITS)
        limiter.clock.now += 60
    result = limiter.hit(*LIMITS)
    assert not result.is_allowed
    assert result.retry_after_s == 21600 - 4 * 60


@pytest.mark.parametrize("text", ["1/second", "7/second", "999/minute", "600/day", "100000/day"])
def test_a_whole_quota_is_allowed_at_once_and_no_more(text: str) -> None:
    limiter = Limiter()
    [limit] = rate_limits(text)
    amount = min(limit.amount, 1000)
    results = [limiter.hit(limit) for _ in range(amount + 1)]
    assert [result.is_allowed for result in results] == [True] * amount + [limit.amount > amount]
    assert results[amount - 1].quotas[0].remaining == limit.amount - amount


@given(
    st.lists(st.builds(RateLimit, st.integers(1, 20), st.just("window"), st.sampled_from([1, 60])), max_size=3),
    st.lists(st.one_of(st.just(0), st.integers(1, 700)), max_size=60),
)
def test_decisions_are_those_of_exact_leaky_buckets(limits: list[RateLimit], pauses: list[int]) -> None:
    limiter = Limiter()
    levels = [0] * len(limits)  # in units of 1/amount of a tenth of a second
    for pause in pauses:
        limiter.clock.now += pause / 10
        levels = [max(level - pause * limit.amount, 0) for limit, level in zip(limits, levels, strict=True)]
        full = [10 * limit.window_s * limit.amount for limit in limits]
        cost = [10 * limit.window_s for limit in limits]
        is_allowed = all(level + more <= most for level, more, most in zip(levels, cost, full, strict=True))
        levels = [level + more * is_allowed for level, more in zip(levels, cost, strict=True)]
        result = limiter.hit(*limits)
        assert result.is_allowed == is_allowed
        assert [quota.remaining for quota in result.quotas] == [
            (most - level) // more for most, level, more in zip(full, levels, cost, strict=True)
        ]


@given(
    st.builds(RateLimit, st.integers(1, 10_000), st.just("window"), st.sampled_from([1, 60, 3600, 86400])),
    st.integers(1, 100),
)
def test_a_client_that_waits_for_the_reported_time_is_allowed(limit: RateLimit, hits: int) -> None:
    limiter = Limiter()
    for _ in range(hits):
        result = limiter.hit(limit)
        limiter.clock.now += result.retry_after_s
        assert result.is_allowed or limiter.hit(limit).is_allowed


def test_many_threads_together_are_allowed_no_more_than_the_quota() -> None:
    store, limits = MemoryStore(clock=Clock()), rate_limits("100/minute;150/day")
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda _: store.hit("ada", limits)[0], range(400)))
    assert sum(decisions) == 100


def test_memory_is_bounded_and_a_client_that_continues_is_not_forgotten() -> None:
    store = MemoryStore(max_keys=1000, clock=Clock())
    allowed = 0
    for number in range(5000):
        store.hit(f"client {number}", [MINUTE])
        allowed += store.hit("hammering", [DAY])[0]
    assert allowed == DAY.amount
    assert len(store) == 1000
    assert store.hit("client 4999", [MINUTE])[1] == [40]
    assert store.hit("client 1", [MINUTE])[1] == [20]


def test_counters_expire_and_the_least_used_is_dropped() -> None:
    clock = Clock()
    counters = MemoryCounters(max_counters=2, clock=clock)
    assert [counters.increment("a", expiry_s=10) for _ in range(3)] == [1, 2, 3]
    clock.now += 4
    assert (counters.time_left_s("a"), counters.time_left_s("b")) == (6, 0)
    clock.now += 6
    assert counters.time_left_s("a") == 0
    assert counters.increment("a", expiry_s=10) == 1
    for key in ("b", "a", "c"):
        counters.increment(key, expiry_s=10)
    assert (len(counters), counters.time_left_s("b"), counters.time_left_s("a")) == (2, 0, 10)
    counters.clear("a")
    assert counters.time_left_s("a") == 0

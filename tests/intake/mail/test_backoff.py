"""Delays between delivery attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.mail.backoff import GIVE_UP_AFTER_S, LONGEST_DELAY_S, retry_delay_s


def test_a_permanent_failure_is_not_retried() -> None:
    assert retry_delay_s(attempts=1, age_s=0, permanent=True, fraction=0.5) is None


def test_retries_end_after_two_days() -> None:
    assert retry_delay_s(attempts=3, age_s=GIVE_UP_AFTER_S - 1, permanent=False, fraction=0.5) is not None
    assert retry_delay_s(attempts=3, age_s=GIVE_UP_AFTER_S, permanent=False, fraction=0.5) is None


@pytest.mark.parametrize(("attempts", "longest"), [(1, 5), (2, 10), (5, 80), (12, 10_240), (13, 14_400), (99, 14_400)])
def test_delays_double_up_to_a_maximum(attempts: int, longest: float) -> None:
    assert retry_delay_s(attempts=attempts, age_s=0, permanent=False, fraction=1.0) == longest


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_delays_are_within_bounds(attempts: int, fraction: float) -> None:
    delay_s = retry_delay_s(attempts=attempts, age_s=0, permanent=False, fraction=fraction)
    assert delay_s is not None
    assert 1 <= delay_s <= LONGEST_DELAY_S

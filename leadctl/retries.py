"""Reattempts with exponential backoff."""

import time
from collections.abc import Callable
from typing import TypeVar

from leadctl.errors import TryAgain

FIRST_PAUSE_S = 0.5  # doubled for each retry
MAX_PAUSE_S = 60.0  # even if the server asks for more

T = TypeVar("T")


def pause(after: TryAgain, *, attempt: int) -> None:
    """Wait after attempt number `attempt` (from 1): as long as the server asks, else with exponential backoff."""
    requested = after.retry_after_s
    time.sleep(min(FIRST_PAUSE_S * 2 ** (attempt - 1) if requested is None else requested, MAX_PAUSE_S))


def retry_call(
    work: Callable[[], T], *, attempts: int, on_retry: Callable[[TryAgain], None] = lambda _error: None
) -> T:
    """Call `work` up to `attempts` times; call `on_retry` before each retry. Raises TryAgain after the last."""
    for attempt in range(1, attempts):
        try:
            return work()
        except TryAgain as error:
            on_retry(error)
            pause(error, attempt=attempt)
    return work()

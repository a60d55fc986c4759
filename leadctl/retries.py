"""Trying again, a bounded number of times, what a server can't take now."""

import time
from collections.abc import Callable
from typing import TypeVar

from leadctl.errors import TryAgain

FIRST_PAUSE_S = 0.5  # each further one is twice as long
MAX_PAUSE_S = 60.0  # whatever the server asks for

T = TypeVar("T")


def pause(after: TryAgain, *, tried: int) -> None:
    """Wait as long as the server asked for, or longer each time, after the try of this number (from 1)."""
    wanted = after.retry_after_s
    time.sleep(min(FIRST_PAUSE_S * 2 ** (tried - 1) if wanted is None else wanted, MAX_PAUSE_S))


def retried(work: Callable[[], T], *, tries: int, tell: Callable[[TryAgain], None]) -> T:
    """Return what `work` returns, tried up to `tries` times; each failure but the last is told. Raises TryAgain."""
    for tried in range(1, tries):
        try:
            return work()
        except TryAgain as error:
            tell(error)
            pause(error, tried=tried)
    return work()

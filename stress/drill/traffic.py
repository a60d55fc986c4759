"""Steady traffic: submissions at a fixed rate, and their outcomes."""

import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Self

import httpx2

RATE = 20  # submissions per second
SENDERS = 16
NO_ANSWER = "no response"
CV = b"%PDF-1.4 a CV"


@dataclass(frozen=True)
class Sent:
    """A submission, by its unique address, and its outcome: a status, or NO_ANSWER."""

    email: str
    outcome: str
    began: float
    ended: float


class Traffic:
    """Submissions that continue until `stop`, or the end of the `with` block, whatever their outcomes.

    `connect` returns a client for one thread.
    """

    def __init__(self, connect: Callable[[], httpx2.Client]) -> None:
        self._connect, self._numbers, self._end = connect, count(), threading.Event()
        self._sent: list[Sent] = []
        self._pool = ThreadPoolExecutor(SENDERS + 1)
        self._local = threading.local()

    def since(self, began: float) -> list[Sent]:
        """Return the submissions that began after a time of time.monotonic, and have an outcome."""
        return [one for one in list(self._sent) if one.began >= began]

    def acknowledged(self) -> set[str]:
        """Return the addresses of all submissions that got a 204 so far."""
        return {one.email for one in list(self._sent) if one.outcome == "204"}

    def failures(self, began: float) -> list[Sent]:
        """Return the submissions without a 204 since a time."""
        return [one for one in self.since(began) if one.outcome != "204"]

    def longest_s(self, began: float) -> float:
        """Return the longest response time since a time."""
        return max((one.ended - one.began for one in self.since(began)), default=0.0)

    def p99_s(self, began: float) -> float:
        """Return the 99th percentile of the response times since a time."""
        return statistics.quantiles((one.ended - one.began for one in self.since(began)), n=100)[-1]

    def __enter__(self) -> Self:
        self._pool.submit(self._schedule)
        return self

    def stop(self) -> None:
        """Send no more submissions, and wait for those that were sent."""
        self._end.set()
        self._pool.shutdown()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _schedule(self) -> None:
        due = time.monotonic()
        while not self._end.wait(max(due - time.monotonic(), 0)):
            due += 1 / RATE
            self._pool.submit(self._submit, f"drill{next(self._numbers)}@example.com")

    def _submit(self, email: str) -> None:
        if self._end.is_set():
            return
        began = time.monotonic()
        self._sent.append(Sent(email, self._outcome(email), began, time.monotonic()))

    def _outcome(self, email: str) -> str:
        if not hasattr(self._local, "client"):
            self._local.client = self._connect()
        form = {"email": email, "f_name": "Ada", "l_name": "Lovelace"}
        try:
            answer = self._local.client.post("/leads/", data=form, files={"CV": ("cv.pdf", CV)})
        except httpx2.HTTPError:
            return NO_ANSWER
        return str(answer.status_code)

"""Helpers that occupy the service's hashing threads."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from intake.http.hashing_queue import HashingQueue, Turn
from tests.conftest import Intake

WITHIN_S = 60


def queue_of(intake: Intake) -> HashingQueue:
    """Return the queue of the internal API."""
    gateway: Any = intake.client.app
    routes = gateway._routes._routes
    queue: HashingQueue = next(route for route in routes if route.path == "/internal/auth/login").endpoint.hashing
    return queue


@contextmanager
def all_taken(intake: Intake) -> Iterator[HashingQueue]:
    """Yield the queue while all threads are busy."""
    queue, release = queue_of(intake), threading.Event()
    count = queue._executor._max_workers
    begun = threading.Barrier(count + 1)

    def hold() -> None:
        begun.wait(WITHIN_S)
        release.wait(WITHIN_S)

    for _ in range(count):
        queue.join(hold, Turn(True, {}))
    begun.wait(WITHIN_S)
    try:
        yield queue
    finally:
        release.set()


def await_waiting(queue: HashingQueue, count: int) -> None:
    """Wait until `count` requests are queued."""
    until = time.monotonic() + WITHIN_S
    while queue.waiting != count:
        assert time.monotonic() < until, f"{queue.waiting} wait"
        time.sleep(0.01)

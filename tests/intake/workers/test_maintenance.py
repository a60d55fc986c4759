"""Maintenance jobs during database errors: failed runs are retried soon."""

import logging
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from intake.errors import DatabaseUnavailable
from intake.metrics import Metrics
from intake.workers import maintenance
from intake.workers.maintenance import FIRST_RETRY_S, LONGEST_RETRY_S, Job, Maintenance
from tests.conftest import Intake, running_workers
from tests.intake.leads.test_retention import old, remaining
from tests.intake.workers.test_mail import rename, wait_for


def test_a_brief_failure_of_the_database_delays_retention_by_seconds(
    start: Callable[..., Intake], caplog: pytest.LogCaptureFixture
) -> None:
    intake = start(retention_days=(("DECLINED", 180),))
    old(intake, "DECLINED", 181)
    rename(intake, "cv", "away")
    with running_workers(intake):
        wait_for(lambda: "maintenance is retried" in caplog.text)
        rename(intake, "away", "cv")
        wait_for(lambda: remaining(intake) == [])


class Clock:
    """A replacement of `time` that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_retries_begin_after_a_second_and_back_off_to_five_minutes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, runs, fails = Clock(), list[float](), True
    monkeypatch.setattr(maintenance, "time", clock)

    def work() -> Iterator[int]:
        runs.append(clock.now)
        if fails:
            raise DatabaseUnavailable("unavailable")
        yield 1

    job = Job(work, every_s=86_400.0)

    def run_for(seconds: int) -> list[float]:
        """Return the seconds between its runs in that time."""
        runs.clear()
        for _ in range(seconds):
            while job.step():
                pass
            clock.now += 1
        return [later - earlier for earlier, later in pairwise(runs)]

    assert (FIRST_RETRY_S, LONGEST_RETRY_S) == (1.0, 300.0)
    assert run_for(1400) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert caplog.records[0].levelno == logging.WARNING
    fails = False
    assert run_for(86_400 + 400) == [86_400]
    fails = True
    assert run_for(86_400)[:3] == [1, 2, 4], "a success resets the backoff"


def test_a_long_job_does_not_delay_the_others(intake: Intake) -> None:
    upkeep = Maintenance(intake.settings, intake.database, Metrics())
    done = list[str]()

    def endless() -> Iterator[int]:
        while True:
            done.append("long")
            yield 1

    def short() -> Iterator[int]:
        done.append("short")
        yield from ()

    upkeep._jobs = [Job(endless, every_s=86_400.0), Job(short, every_s=0.0)]
    upkeep.start()
    wait_for(lambda: done.count("short") > 10)
    upkeep.stop()
    upkeep.join(20)
    assert done.count("long") > 1

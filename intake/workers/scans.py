"""Scans the CVs for which that is owed, one after another, in a thread of its own beside the worker's."""

import logging
import threading
import time
from contextlib import suppress

from intake.database import Database
from intake.errors import (
    ChecksumMismatch,
    DatabaseUnavailable,
    LeadNotFound,
    ScanFailed,
    ScannerUnavailable,
    StorageUnavailable,
)
from intake.leads import scans
from intake.leads.scans import ScanJob, Stopped
from intake.metrics import Metrics

POLL_S = 0.5
PAUSE_S = 5.0  # after the database was away
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0  # after clamd was: twice as long each time
STOP_WITHIN_S = 10.0

log = logging.getLogger("intake.workers.scans")


class ScanWorker:
    """Has a clamd scan what is owed, until it is stopped. Any number of them share what there is."""

    def __init__(self, url: str, database: Database, metrics: Metrics) -> None:
        self._url, self._database, self._metrics = url, database, metrics
        self._thread = threading.Thread(target=self._run, name="intake-scanner", daemon=True)
        self._woken = threading.Event()
        self._stopping = False
        self._pause_s = FIRST_PAUSE_S
        self.last_error: str | None = None  # what keeps every CV from being scanned, if anything does

    def start(self) -> None:
        """Begin scanning."""
        self._thread.start()

    def wake(self) -> None:
        """Look for what is owed now; from any thread."""
        self._woken.set()

    def stop(self) -> None:
        """Claim no more, and give back what is under way."""
        self._stopping = True
        self.wake()
        self._thread.join(STOP_WITHIN_S)

    def _run(self) -> None:
        while not self._stopping:
            try:
                wait_s = self._step()
            except DatabaseUnavailable as error:
                log.warning("the database is away, no CV is scanned: %s", error.reason)
                wait_s = PAUSE_S
            except Exception:
                log.exception("no CV is scanned")
                wait_s = PAUSE_S
            self._wait(wait_s)

    def _step(self) -> float:
        """Scan what is due the longest, and return the seconds to wait before the next look."""
        owed = scans.claim(self._database)
        if owed is None:
            return POLL_S
        try:
            state = scans.scan(self._database, self._url, owed, is_stopping=lambda: self._stopping)
        except ScannerUnavailable as error:
            return self._pause(owed, error)
        except (ScanFailed, ChecksumMismatch, StorageUnavailable) as error:
            log.warning("the CV of lead %d is not scanned: %s; next try in %.0f s", owed.lead_id, error, owed.delay_s)
            self._metrics.scans.labels("failed").inc()
            scans.postpone(self._database, owed)
            return 0
        except Stopped:
            scans.release(self._database, owed)
            return 0
        except LeadNotFound:  # erased in the meantime
            return 0
        self.last_error, self._pause_s = None, FIRST_PAUSE_S
        if state is not None:
            self._metrics.scans.labels(state).inc()
            log.info("the CV of lead %d is %s", owed.lead_id, state)
        return 0

    def _pause(self, owed: ScanJob, error: ScannerUnavailable) -> float:
        with suppress(DatabaseUnavailable):  # its lease ends by itself
            scans.release(self._database, owed)
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        log.warning("%s; no CV is scanned, next try in %.0f s", error, pause_s)
        self.last_error = str(error)
        return pause_s

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        # what is submitted meanwhile makes an absent clamd none the nearer
        while not self._stopping and (left := until - time.monotonic()) > 0:
            if self._woken.wait(left):
                self._woken.clear()
                if seconds <= POLL_S:
                    return

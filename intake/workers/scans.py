"""The scan worker: has clamd scan pending CVs, one after another, in its own thread."""

import logging
from contextlib import suppress

from intake.database import Database
from intake.errors import (
    ChecksumMismatch,
    DatabaseUnavailable,
    LeadNotFound,
    ScanFailed,
    ScannerUnavailable,
    Stopped,
    StorageUnavailable,
)
from intake.leads import scans
from intake.leads.scans import ScanJob
from intake.metrics import Metrics
from intake.workers.polling import PollingWorker

POLL_S = 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0  # after clamd was unavailable; doubled each time

log = logging.getLogger("intake.workers.scans")


class ScanWorker(PollingWorker):
    """Scans pending CVs until it is stopped. Any number of workers share the pending scans."""

    consequence = "no CV is scanned"

    def __init__(self, url: str, database: Database, metrics: Metrics) -> None:
        super().__init__("intake-scans")
        self._url, self._database, self._metrics = url, database, metrics
        self._pause_s = FIRST_PAUSE_S

    def step(self) -> float:
        """Scan the CV that has been due the longest, and return the seconds to wait before the next poll."""
        job = scans.claim(self._database)
        if job is None:
            return POLL_S
        try:
            state = scans.scan(self._database, self._url, job, is_stopping=self.stopping.is_set)
        except ScannerUnavailable as error:
            return self._pause(job, error)
        except (ScanFailed, ChecksumMismatch, StorageUnavailable) as error:
            log.warning("the CV of lead %d is not scanned: %s; next attempt in %.0f s", job.lead_id, error, job.delay_s)
            self._metrics.scans.labels("failed").inc()
            scans.postpone(self._database, job)
            return 0
        except Stopped:
            scans.release(self._database, job)
            return 0
        except LeadNotFound:  # erased in the meantime
            return 0
        self.last_error, self._pause_s = None, FIRST_PAUSE_S
        if state is not None:
            self._metrics.scans.labels(state).inc()
            log.info("the CV of lead %d is %s", job.lead_id, state)
        return 0

    def _pause(self, job: ScanJob, error: ScannerUnavailable) -> float:
        with suppress(DatabaseUnavailable):  # its lease expires
            scans.release(self._database, job)
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        log.warning("%s; no CV is scanned, next attempt in %.0f s", error, pause_s)
        self.last_error = str(error)
        return pause_s

"""The text worker: extracts the text of CVs, one after another, in its own thread."""

import logging
import time

from intake.cv_text import sandbox
from intake.database import Database
from intake.errors import FileMissing, LeadNotFound, Stopped, StorageUnavailable
from intake.leads import cv_texts
from intake.leads.cv_texts import MISSING_DELAY_S, STORE_DELAY_S, TextJob
from intake.metrics import Metrics
from intake.workers.polling import PollingWorker

POLL_S = 1.0
SANDBOX_PAUSE_S = 60.0  # while the sandbox is not available
PROCESS_PAUSE_S = 10.0  # after a process could not be started
PAUSE_FACTOR = 3.0  # a pause after each extraction: a backlog takes at most a quarter of a core from submissions
MAX_PAUSE_S = 1.0  # slow extractions are rare, or an attack that must not delay other CVs further

log = logging.getLogger("intake.workers.texts")


class TextWorker(PollingWorker):
    """Extracts pending texts until it is stopped. Any number of workers share the pending texts."""

    consequence = "no CV's text is extracted"

    def __init__(self, mode: str, database: Database, metrics: Metrics) -> None:
        super().__init__("intake-texts")
        self._mode, self._database, self._metrics = mode, database, metrics
        self.last_error = sandbox.fault(mode)

    def step(self) -> float:
        """Extract the text of one CV, and return the seconds to wait before the next poll."""
        if (fault := sandbox.fault(self._mode)) is not None:
            log.warning("%s; %s", self.consequence, fault)
            return SANDBOX_PAUSE_S
        job = cv_texts.claim(self._database)
        if job is None:
            return POLL_S
        started = time.monotonic()
        pause_s = self._extract(job)
        return max(pause_s, min(PAUSE_FACTOR * (time.monotonic() - started), MAX_PAUSE_S))

    def _extract(self, job: TextJob) -> float:
        try:
            state = cv_texts.extract(self._database, job, mode=self._mode, is_stopping=self.stopping.is_set)
        except LeadNotFound:  # erased in the meantime
            return 0
        except Stopped:
            cv_texts.release(self._database, job)
            return 0
        except StorageUnavailable as error:
            log.warning("the text of lead %d's CV is not extracted yet: %s", job.lead_id, error)
            delay_s = MISSING_DELAY_S if isinstance(error, FileMissing) else STORE_DELAY_S
            cv_texts.release(self._database, job, delay_s=delay_s)
            return 0
        except OSError as error:
            log.warning("%s: %s", self.consequence, error)
            cv_texts.release(self._database, job)
            return PROCESS_PAUSE_S
        self._metrics.texts.labels(state or "retried").inc()
        return 0

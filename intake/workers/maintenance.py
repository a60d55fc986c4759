"""Periodic jobs in their own thread: queue counts, retention, deletions, held confirmations, words, the CV store."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from intake.cvs import deletions, orphans, store_marker
from intake.database import Database
from intake.errors import DatabaseUnavailable, OrphanCollectionRefused, StorageUnavailable
from intake.leads import cv_texts, erasure, scans, words
from intake.leads.submissions import delete_expired_keys
from intake.mail import admin, confirmation_caps, outbox
from intake.metrics import Metrics, QueueCounts
from intake.settings import Settings

POLL_S = 0.5
PRUNE_EVERY_S = 600.0
UPDATE_MARKER_EVERY_S = 60.0
DELETE_CVS_EVERY_S = 60.0
RELEASE_CONFIRMATIONS_EVERY_S = 10.0
COUNT_EVERY_S = 30.0
INDEX_WORDS_EVERY_S = 3600.0  # leads that another version of the service saves during an upgrade wait as long
COLLECT_EVERY_S = PURGE_EVERY_S = 24 * 3600.0
STOP_WITHIN_S = 1.0  # a store that never responds must not delay the shutdown
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 300.0

log = logging.getLogger("intake.workers.maintenance")


class Job:
    """Work, perhaps in steps, repeated `every_s` seconds after success and with exponential backoff after an error."""

    def __init__(self, work: Callable[[], Iterator[object] | None], *, every_s: float) -> None:
        self._work, self._every_s = work, every_s
        self._steps: Iterator[object] | None = None
        self._due_at = 0.0
        self._retry_s = FIRST_RETRY_S

    def step(self) -> bool:
        """Run the next step if one is due, and return whether another follows at once."""
        if self._steps is None and time.monotonic() < self._due_at:
            return False
        try:
            self._steps = self._steps or self._work() or iter(())
            next(self._steps)
        except StopIteration:
            self._end(self._every_s, FIRST_RETRY_S)
        except (DatabaseUnavailable, StorageUnavailable) as error:
            log.warning("maintenance is retried in %.0f s: %s", self._retry_s, error)
            self._end(self._retry_s, min(2 * self._retry_s, LONGEST_RETRY_S))
        except Exception:
            log.exception("maintenance is retried in %.0f s", self._retry_s)
            self._end(self._retry_s, min(2 * self._retry_s, LONGEST_RETRY_S))
        return self._steps is not None

    def _end(self, pause_s: float, retry_s: float) -> None:
        self._steps, self._due_at, self._retry_s = None, time.monotonic() + pause_s, retry_s


class Maintenance(threading.Thread):
    """Runs all jobs until it is stopped, one step of each in turn, so that a long job does not delay the others."""

    def __init__(self, settings: Settings, database: Database, metrics: Metrics) -> None:
        super().__init__(name="intake-maintenance", daemon=True)
        self._settings, self._database, self._metrics = settings, database, metrics
        self._stopping = threading.Event()
        self.store_hold: str | None = None  # the reason why orphans are not collected
        self._old_stores: set[str] | None = None  # stores of earlier settings that have CVs; looked up daily
        self._jobs = [
            Job(self._update_marker, every_s=UPDATE_MARKER_EVERY_S),
            Job(self._count_queues, every_s=COUNT_EVERY_S),
            Job(self._release_confirmations, every_s=RELEASE_CONFIRMATIONS_EVERY_S),
            Job(partial(deletions.retry, database), every_s=DELETE_CVS_EVERY_S),
            Job(self._prune, every_s=PRUNE_EVERY_S),
            Job(self._index_words, every_s=INDEX_WORDS_EVERY_S),
            Job(self._collect_orphans, every_s=COLLECT_EVERY_S),
            Job(self._purge, every_s=PURGE_EVERY_S),
        ]

    def stop(self) -> None:
        """Stop after the running step."""
        self._stopping.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait briefly for the running step; a longer one ends with the process, and another process repeats it."""
        super().join(STOP_WITHIN_S if timeout is None else min(timeout, STOP_WITHIN_S))

    def run(self) -> None:
        """Run the jobs until the thread is stopped."""
        is_busy = False
        while not self._stopping.wait(0 if is_busy else POLL_S):
            is_busy = False
            for job in self._jobs:
                is_busy = (not self._stopping.is_set() and job.step()) or is_busy
        with suppress(DatabaseUnavailable, StorageUnavailable):  # else a restore would miss the last minute's leads
            self._update_marker()

    def _update_marker(self) -> None:
        configured = self._settings.cv_store
        if self._old_stores is None:
            self._old_stores = store_marker.stores_in_use(self._database) - {configured}
        try:
            store_marker.mark(self._database, configured, self._old_stores)
            self.store_hold = store_marker.hold(configured) if configured else None
        except StorageUnavailable as error:
            self.store_hold = str(error)
            raise

    def _count_queues(self) -> None:
        mails = admin.count_unsent(self._database)
        self._metrics.queues = QueueCounts(
            mails_queued=mails.queued,
            mails_failed=mails.failed,
            oldest_mail_s=admin.oldest_s(self._database),
            scans_pending=scans.count_pending(self._database),
            texts_pending=cv_texts.count_pending(self._database) if self._settings.cv_text else 0,
        )

    def _release_confirmations(self) -> None:
        suppressed = confirmation_caps.release(self._database, per_hour=self._settings.confirmations_per_hour)
        confirmation_caps.report(self._metrics, "suppressed", suppressed)

    def _prune(self) -> Iterator[object]:
        delete_expired_keys(self._database)
        if self._settings.mail_retention_s:
            yield from outbox.prune(self._database, age_s=self._settings.mail_retention_s)

    def _index_words(self) -> Iterator[object]:
        if count := (yield from words.index_outdated(self._database)):
            log.info("leads indexed for search: %d", count)

    def _collect_orphans(self) -> Iterator[object]:
        if not self._settings.cv_store:
            return
        self._old_stores = None
        counts = Counter[str]()
        try:
            for step in orphans.collect(self._database, self._settings.cv_store):
                counts += step
                yield step
        except OrphanCollectionRefused as error:  # a retry would fail the same way
            log.error("orphans are not collected: %s", error)
        else:
            log.info("orphans moved to trash: %d, deleted from trash: %d", counts["trashed"], counts["deleted"])
        self._metrics.cvs_missing.set(counts["missing"])

    def _purge(self) -> Iterator[object]:
        for state, count in erasure.purge(self._database, self._settings.retention_days):
            log.info("leads erased after their retention in %s: %d", state, count)
            yield count
        self._database.purge_deleted()  # rows erased here or by requests

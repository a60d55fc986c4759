"""Queue of CV scans: claims with a lease, and results."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import token_hex

from sqlalchemy import Connection, Select, func, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from intake.cvs import clamd
from intake.cvs.clamd import ScanResult
from intake.database import Database
from intake.database.clock import Now
from intake.database.ids import unlocked
from intake.database.schema import SCAN_PENDING, cv
from intake.errors import Stopped
from intake.leads import cv_texts, listing, words
from intake.leads.models import ScanState

LEASE_S = clamd.SCAN_TIMEOUT_S + 60.0  # longer than any scan, so it needs no renewal
LONGEST_DELAY_S = 3600.0
log = logging.getLogger("intake.leads")


@dataclass(frozen=True)
class ScanJob:
    """A claimed scan; its result is stored only while the claim is valid."""

    lead_id: int
    claim: str
    attempts: int

    @property
    def delay_s(self) -> float:
        """Seconds until the next attempt, if this one fails."""
        return min(2.0 ** min(self.attempts, 12), LONGEST_DELAY_S)


def claim(database: Database) -> ScanJob | None:
    """Claim the scan that is due longest, for LEASE_S seconds, or return None.

    Raises DatabaseUnavailable.
    """
    # usually there is none, and reading takes no lock
    if database.read(lambda connection: connection.scalar(due())) is None:
        return None
    token = token_hex(16)
    row = database.write(lambda connection: connection.execute(take(token)).first())
    return None if row is None else ScanJob(row.lead_id, token, row.scan_attempts)


def take(token: str) -> ReturningUpdate[tuple[int, int]]:
    """Return the statement that claims the scan that is due longest."""
    return (
        update(cv)
        .where(cv.c.lead_id.in_(select(unlocked(due()).c.lead_id)))
        .values(scan_claim=token, scan_claimed_until=Now(plus_s=LEASE_S), scan_attempts=cv.c.scan_attempts + 1)
        .returning(cv.c.lead_id, cv.c.scan_attempts)
    )


def due() -> Select[tuple[int]]:
    """Return the query for the lead whose scan is due longest."""
    is_free = or_(cv.c.scan_claimed_until.is_(None), cv.c.scan_claimed_until <= Now())
    is_due = (SCAN_PENDING, cv.c.next_scan_at <= Now(), is_free)
    return select(cv.c.lead_id).where(*is_due).order_by(cv.c.next_scan_at).limit(1)


def count_pending(database: Database) -> int:
    """Return the number of pending scans. Raises DatabaseUnavailable."""
    query = select(func.count()).select_from(cv).where(SCAN_PENDING)
    return database.read(lambda connection: int(connection.execute(query).scalar_one()))


def scan(database: Database, url: str, job: ScanJob, *, is_stopping: Callable[[], bool]) -> ScanState | None:
    """Scan a CV with the clamd at `url` and store the result; return None if the claim has expired.

    Raises ScannerUnavailable, ScanFailed, LeadNotFound, ChecksumMismatch, StorageUnavailable, DatabaseUnavailable or
    Stopped.
    """
    found = listing.get_lead(database, job.lead_id)

    def chunks() -> Iterator[bytes]:
        for chunk in listing.read_cv(database, found):
            if is_stopping():
                raise Stopped
            yield chunk

    result = clamd.scan(url, chunks())
    state = _state(result)
    is_stored = _store_result(database, job, state, result.signature)
    if is_stored and state is ScanState.QUARANTINED:
        log.warning("the CV of lead %d is quarantined: %s", job.lead_id, result.signature)
    return state if is_stored else None


def postpone(database: Database, job: ScanJob) -> None:
    """Release a failed scan; it is due again after `delay_s`. Raises DatabaseUnavailable."""
    database.write(lambda connection: _store(connection, job, next_scan_at=Now(plus_s=job.delay_s)))


def release(database: Database, job: ScanJob) -> None:
    """Release the scan without counting an attempt. Raises DatabaseUnavailable."""
    database.write(lambda connection: _store(connection, job, scan_attempts=cv.c.scan_attempts - 1))


def _state(result: ScanResult) -> ScanState:
    if result.is_too_large:
        return ScanState.TOO_LARGE
    return ScanState.CLEAN if result.signature is None else ScanState.QUARANTINED


def _store_result(database: Database, job: ScanJob, state: ScanState, signature: str | None) -> bool:
    def work(connection: Connection) -> bool:
        words.lock_leads(connection, [job.lead_id])
        is_stored = _store(connection, job, scan_state=state, signature=signature, next_scan_at=None)
        if is_stored:
            cv_texts.follow_scan(connection, job.lead_id, state)
        return is_stored

    return database.write(work)


def _store(connection: Connection, job: ScanJob, **values: object) -> bool:
    statement = (
        update(cv)
        .where(cv.c.lead_id == job.lead_id, cv.c.scan_claim == job.claim, SCAN_PENDING)
        .values(**values, scan_claim=None, scan_claimed_until=None)
    )
    return connection.execute(statement).rowcount > 0

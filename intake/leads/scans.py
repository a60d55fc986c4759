"""Scans of CVs that are owed: claimed with a lease, and what came of each."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import token_hex

from sqlalchemy import Connection, Select, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from intake.cvs import clamd
from intake.cvs.clamd import ScanResult
from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import SCAN_PENDING, cv
from intake.leads import listing
from intake.leads.models import ScanState

LEASE_S = clamd.SCAN_TIMEOUT_S + 60.0  # longer than any scan: it need not be renewed
LONGEST_DELAY_S = 3600.0
log = logging.getLogger("intake.leads")


class Stopped(Exception):
    """The scan was broken off, since the program is to end."""


@dataclass(frozen=True)
class ScanJob:
    """A claimed scan: what its holder writes back counts only while its claim stands."""

    lead_id: int
    claim: str
    attempts: int

    @property
    def delay_s(self) -> float:
        """The seconds until it is tried again, should this attempt fail, too."""
        return min(2.0 ** min(self.attempts, 12), LONGEST_DELAY_S)


def claim(database: Database) -> ScanJob | None:
    """Take the scan that is due the longest; nobody else gets it for LEASE_S seconds. None: there is none.

    Raises DatabaseUnavailable.
    """
    # most often there is none, and reading takes no lock
    if database.read(lambda connection: connection.scalar(due())) is None:
        return None
    token = token_hex(16)
    row = database.write(lambda connection: connection.execute(take(token)).first())
    return None if row is None else ScanJob(row.lead_id, token, row.scan_attempts)


def take(token: str) -> ReturningUpdate[tuple[int, int]]:
    """Return the statement that claims the scan that is due the longest."""
    # a subquery can run again for each row, past its limit
    chosen = due().with_for_update(skip_locked=True).cte("due").prefix_with("MATERIALIZED", dialect="postgresql")
    return (
        update(cv)
        .where(cv.c.lead_id.in_(select(chosen.c.lead_id)))
        .values(scan_claim=token, scan_claimed_until=Now(plus_s=LEASE_S), scan_attempts=cv.c.scan_attempts + 1)
        .returning(cv.c.lead_id, cv.c.scan_attempts)
    )


def due() -> Select[tuple[int]]:
    """Return the statement that reads whose scan is due the longest."""
    is_free = or_(cv.c.scan_claimed_until.is_(None), cv.c.scan_claimed_until <= Now())
    is_due = (SCAN_PENDING, cv.c.next_scan_at <= Now(), is_free)
    return select(cv.c.lead_id).where(*is_due).order_by(cv.c.next_scan_at).limit(1)


def scan(database: Database, url: str, owed: ScanJob, *, is_stopping: Callable[[], bool]) -> ScanState | None:
    """Have the clamd at `url` scan a CV, and write down what it is; None: the claim stands no more, nothing is written.

    Raises ScannerUnavailable, ScanFailed, LeadNotFound, CvDamaged, StorageUnavailable, DatabaseUnavailable, or Stopped.
    """
    found = listing.get_lead(database, owed.lead_id)

    def pieces() -> Iterator[bytes]:
        for piece in listing.read_cv(database, found):
            if is_stopping():
                raise Stopped
            yield piece

    verdict = clamd.scan(url, pieces())
    state = _state(verdict)
    written = _write_back(database, owed, scan_state=state, signature=verdict.signature, next_scan_at=None)
    if written and state is ScanState.QUARANTINED:
        log.warning("the CV of lead %d is quarantined: %s", owed.lead_id, verdict.signature)
    return state if written else None


def postpone(database: Database, owed: ScanJob) -> None:
    """Let go of a scan that failed; it is due again after a while. Raises DatabaseUnavailable."""
    _write_back(database, owed, next_scan_at=Now(plus_s=owed.delay_s))


def release(database: Database, owed: ScanJob) -> None:
    """Let go of a scan that was not tried: it is due as it was. Raises DatabaseUnavailable."""
    _write_back(database, owed, scan_attempts=cv.c.scan_attempts - 1)


def _state(verdict: ScanResult) -> ScanState:
    if verdict.is_too_large:
        return ScanState.TOO_LARGE
    return ScanState.CLEAN if verdict.signature is None else ScanState.QUARANTINED


def _write_back(database: Database, owed: ScanJob, **values: object) -> bool:
    statement = (
        update(cv)
        .where(cv.c.lead_id == owed.lead_id, cv.c.scan_claim == owed.claim, SCAN_PENDING)
        .values(**values, scan_claim=None, scan_claimed_until=None)
    )

    def work(connection: Connection) -> bool:
        return bool(connection.execute(statement).rowcount)

    return database.write(work)

"""Text of CVs: the queue of extractions with claims and results, and delivery with an audit entry."""

import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate, Update

from intake import audit
from intake.audit import Action, Actor
from intake.cv_text import runner
from intake.cv_text.runner import PDF_LIMITS, ChildFailed, Extraction
from intake.database import Database
from intake.database.clock import Now
from intake.database.ids import unlocked
from intake.database.lead_rows import LeadTable, Rows
from intake.database.schema import TEXT_PENDING, cv, cv_text
from intake.database.secure_delete import mark_deletion
from intake.database.word_index import replace_words
from intake.errors import ChecksumMismatch, LeadNotFound, Stopped
from intake.leads import listing, words
from intake.leads.models import LeadWithCv, ScanState, TextState

LEASE_S = PDF_LIMITS.wall_s + 300.0  # longer than reading the CV and any extraction
MAX_FAILURES = 2
MAX_CLAIMS = 10  # so that a file can't end its worker again and again
RETRY_DELAY_S = 10.0
STORE_DELAY_S, MISSING_DELAY_S = 60.0, 3600.0  # while the store is unavailable, or the file is missing
log = logging.getLogger("intake.leads")

# built once, not per submission
_DUE = LeadTable(cv_text, {"next_attempt_at": Now()})
_AFTER_SCAN = LeadTable(cv_text)
_NO_TEXT = {"text": None, "pages": None, "truncated": False, "guessed": False, "claim": None}


class CvText(BaseModel):
    """The text of a CV, or why there is none."""

    state: str = Field(description="pending, done, empty (no text layer), failed, withheld or off.")
    reason: str | None = Field(
        description="If failed: encrypted, damaged, timeout, crashed, output or unsupported."
        " If withheld: quarantined or too-large-to-scan."
    )
    text: str | None
    pages: list[int] = Field(description="Offsets in code points at which pages start; empty if they are not known.")
    truncated: bool = Field(description="Whether only the first MiB, or the first pages, were extracted.")
    guessed: bool = Field(description="Whether the character encoding was guessed.")


@dataclass(frozen=True)
class TextJob:
    """A claimed extraction; its result is stored only while the claim is valid."""

    lead_id: int
    claim: str
    attempts: int


def new_rows(*, is_scanned: bool) -> Rows:
    """Return the row that queues the extraction of a new lead's CV; if a scan is queued, `follow_scan` makes it due."""
    return _AFTER_SCAN if is_scanned else _DUE, [{}]


def follow_scan(connection: Connection, lead_id: int, scan_state: ScanState) -> None:
    """Make the extraction due, or withhold the text, in the transaction that stores the scan's result."""
    if scan_state is ScanState.CLEAN:
        connection.execute(_pending(lead_id).values(next_attempt_at=Now()))
    else:
        withhold(connection, lead_id, scan_state)


def withhold(connection: Connection, lead_id: int, scan_state: ScanState) -> None:
    """Delete the text of a CV and its words, and prevent its extraction. The lead is locked by `words.lock_leads`."""
    values = {"state": TextState.WITHHELD, "reason": scan_state, **_NO_TEXT}
    connection.execute(update(cv_text).where(cv_text.c.lead_id == lead_id).values(values))
    words.index_leads(connection, [lead_id])
    mark_deletion(connection)


def claim(database: Database) -> TextJob | None:
    """Claim a due extraction for LEASE_S seconds, or return None.

    First attempts precede all others, so that CVs which end their process do not delay other CVs. Among equals, the
    newest CV is first. Raises DatabaseUnavailable.
    """
    return _claim(database, is_first=True) or _claim(database, is_first=False)


def _claim(database: Database, *, is_first: bool) -> TextJob | None:
    # usually there is none, and reading takes no lock
    if database.read(lambda connection: connection.scalar(due(is_first=is_first))) is None:
        return None
    token = token_hex(16)
    row = database.write(lambda connection: connection.execute(take(token, is_first=is_first)).first())
    return None if row is None else TextJob(row.lead_id, token, row.attempts)


def take(token: str, *, is_first: bool) -> ReturningUpdate[tuple[int, int]]:
    """Return the statement that claims a due extraction."""
    return (
        update(cv_text)
        .where(cv_text.c.lead_id.in_(select(unlocked(due(is_first=is_first)).c.lead_id)))
        .values(claim=token, next_attempt_at=Now(plus_s=LEASE_S), attempts=cv_text.c.attempts + 1)
        .returning(cv_text.c.lead_id, cv_text.c.attempts)
    )


def due(*, is_first: bool) -> Any:
    """Return the query for the lead whose first or later attempt became due last: new CVs do not wait for a backlog."""
    attempts = cv_text.c.attempts == 0 if is_first else cv_text.c.attempts > 0
    is_due = (TEXT_PENDING, attempts, cv_text.c.next_attempt_at <= Now())
    return select(cv_text.c.lead_id).where(*is_due).order_by(cv_text.c.next_attempt_at.desc()).limit(1)


def count_pending(database: Database) -> int:
    """Return the number of pending extractions. Raises DatabaseUnavailable."""
    query = select(func.count()).select_from(cv_text).where(TEXT_PENDING)
    return database.read(lambda connection: int(connection.execute(query).scalar_one()))


def extract(database: Database, job: TextJob, *, mode: str, is_stopping: Callable[[], bool]) -> TextState | None:
    """Extract the text of a claimed CV and store it or the reason; return None if neither was stored.

    Raises StorageUnavailable, LeadNotFound, DatabaseUnavailable, OSError if no process can be started, or Stopped.
    """
    found = listing.get_lead(database, job.lead_id)
    if job.attempts > MAX_CLAIMS:
        return record_failure(database, job, "crashed")
    try:
        with tempfile.TemporaryFile() as file:
            for chunk in listing.read_cv(database, found):
                if is_stopping():
                    raise Stopped
                file.write(chunk)
            file.flush()
            result = runner.extract(file, found.CV.detected_type, mode=mode, is_stopping=is_stopping)
    except ChecksumMismatch:
        return record_failure(database, job, "damaged")
    except ChildFailed as error:
        return record_failure(database, job, error.reason, is_final=error.is_final)
    return record_text(database, job, found, result)


def record_text(database: Database, job: TextJob, found: LeadWithCv, result: Extraction) -> TextState | None:
    """Store the result with its words, if the claim is valid and the CV and its scan state are those that were read.

    Raises DatabaseUnavailable.
    """
    same_cv = (
        select(cv.c.lead_id)
        .where(cv.c.lead_id == job.lead_id, cv.c.sha256 == found.CV.sha256, cv.c.scan_state == found.CV.scan_state)
        .exists()
    )
    values = {**result.model_dump(), "pages": json.dumps(result.pages) if result.pages else None, "claim": None}
    statement = _claimed(job).where(same_cv).values(values)
    # before the transaction, since the words of a long text take a while
    texts = (found.f_name, found.l_name, found.email, *found.fields.values(), result.text or "")
    row = {"lead_id": job.lead_id, **words.words_row(texts)}

    def work(connection: Connection) -> bool:
        words.lock_leads(connection, [job.lead_id])
        is_stored = connection.execute(statement).rowcount > 0
        if is_stored and result.text:
            replace_words(connection, row)
        return is_stored

    return TextState(result.state) if database.write(work) else None


def record_failure(database: Database, job: TextJob, reason: str, *, is_final: bool = False) -> TextState | None:
    """Schedule another attempt, or store the reason if there were MAX_FAILURES or this failure `is_final`.

    Raises DatabaseUnavailable.
    """
    if job.attempts < MAX_FAILURES and not is_final:
        release(database, job, delay_s=RETRY_DELAY_S, counts=True)
        return None
    values = {"state": TextState.FAILED, "reason": reason, **_NO_TEXT}
    return TextState.FAILED if _store(database, _claimed(job).values(values)) else None


def release(database: Database, job: TextJob, *, delay_s: float = 0.0, counts: bool = False) -> None:
    """Release the extraction; unless it `counts`, the attempt is forgotten. Raises DatabaseUnavailable."""
    attempts = cv_text.c.attempts if counts else cv_text.c.attempts - 1
    _store(database, _claimed(job).values(claim=None, next_attempt_at=Now(plus_s=delay_s), attempts=attempts))


def read_text(database: Database, lead_id: int, *, actor: Actor, is_on: bool) -> CvText:
    """Return the text of a CV, and record its delivery in the same transaction.

    A pending text is `off` unless extraction `is_on`; its first attempt is made due now, so that it is the next one.
    Raises LeadNotFound or DatabaseUnavailable.
    """
    query = select(cv_text).where(cv_text.c.lead_id == lead_id)
    is_due = (cv_text.c.attempts == 0, cv_text.c.next_attempt_at <= Now())

    def work(connection: Connection) -> Any:
        row = connection.execute(query).mappings().first()
        if row is not None and row["text"] is not None:
            audit.record_hourly(connection, Action.CV_TEXT, actor, lead_id=lead_id)
        elif row is not None and row["state"] == TextState.PENDING:
            connection.execute(_pending(lead_id).where(*is_due).values(next_attempt_at=Now()))
        return row

    row = database.write(work)
    if row is None:
        raise LeadNotFound(f"there is no lead {lead_id}")
    state = TextState.OFF if row["state"] == TextState.PENDING and not is_on else row["state"]
    return CvText(**{**row, "state": state, "pages": json.loads(row["pages"] or "[]")})


def _pending(lead_id: int) -> Update:
    return update(cv_text).where(cv_text.c.lead_id == lead_id, TEXT_PENDING)


def _claimed(job: TextJob) -> Update:
    return _pending(job.lead_id).where(cv_text.c.claim == job.claim)


def _store(database: Database, statement: Update) -> bool:
    return database.write(lambda connection: connection.execute(statement).rowcount) > 0

"""Leads as they come in: checked whole, then kept with their CV and the mails they owe."""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from intake.cvs import store, store_marker
from intake.cvs.inspection import InspectionResult, inspect
from intake.cvs.spool import SpooledUpload
from intake.cvs.store import ObjectRef
from intake.database import Database, execute_with_next, insert_if_absent, short_lock_timeout
from intake.database.clock import Now
from intake.database.cv_blobs import write_content
from intake.database.schema import cv as cv_table
from intake.database.schema import lead, submission_key
from intake.errors import FieldError, IdempotencyKeyInUse, LockTimeout, StorageUnavailable, ValidationError
from intake.leads.normalization import mailbox_key, normalize_key
from intake.mail import outbox
from intake.settings import Settings

FIELDS = ("email", "f_name", "l_name", "CV")
KEY_FIELD = "Idempotency-Key"
KEY_TTL_S = 24 * 3600.0
MAX_KEY_CHARACTERS = 255
MAX_NAME_CHARACTERS = 200
MAX_CV_NAME_CHARACTERS = 255

# built once, for each submission
_INSERT_LEAD = insert(lead).returning(lead.c.id)
_INSERT_CV = insert(cv_table)
_INSERT_SCANNED_CV = _INSERT_CV.values(scan_state="scanning", next_scan_at=Now())

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """A prospect's address as it is kept, and as mail is sent to it (in ASCII where that can be)."""

    text: str
    recipient: str

    @property
    def key(self) -> str:
        """What the address is compared by."""
        return normalize_key(self.text)


@dataclass(frozen=True)
class Submission:
    """What a prospect sent, checked."""

    email: Address
    f_name: str
    l_name: str
    cv_name: str
    cv: SpooledUpload
    findings: InspectionResult

    @property
    def content_sha256(self) -> str:
        """The hash of all that was sent, in hexadecimal: never of the body, whose boundary differs in each retry."""
        content = [self.email.text, self.f_name, self.l_name, self.cv_name, self.cv.sha256]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def validate_idempotency_key(keys: Sequence[str]) -> str | None:
    """Return the key of a submission, given the values of its header fields. Raises ValidationError."""
    if len(keys) > 1:
        raise ValidationError(FieldError(KEY_FIELD, "is given more than once; send one"))
    key = keys[0] if keys else None
    if key is not None and not (0 < len(key) <= MAX_KEY_CHARACTERS and key.isprintable()):
        raise ValidationError(FieldError(KEY_FIELD, f"must have 1 to {MAX_KEY_CHARACTERS} printable characters"))
    return key


def validate_submission(
    texts: Mapping[str, str],
    *,
    cv_name: str | None,
    cv: SpooledUpload | None,
    extensions: Sequence[str],
    faults: Iterable[FieldError] = (),
) -> Submission:
    """Return the submission that a form's fields make; `faults` are those found while the form was read.

    `extensions` are those that a CV may have, none: any. The file is read for it, which takes a while.

    Raises InvalidFields with every fault, one for a field, in the order of the fields, or StorageUnavailable.
    """
    found = {fault.field: fault for fault in faults}

    def checked(field: str, rule: Callable[[], T]) -> T | None:
        if field not in found:
            try:
                return rule()
            except ValueError as error:
                found[field] = FieldError(field, str(error))
        return None

    email = checked("email", lambda: _address(texts.get("email", "")))
    f_name = checked("f_name", lambda: _name(texts.get("f_name", "")))
    l_name = checked("l_name", lambda: _name(texts.get("l_name", "")))
    file = checked("CV", lambda: _file(cv_name, cv, extensions))
    if email and f_name and l_name and file and not found:
        return Submission(email, f_name, l_name, *file)
    raise ValidationError(*(found.pop(field) for field in FIELDS if field in found), *found.values())


def create_lead(database: Database, settings: Settings, submission: Submission, *, key: str | None = None) -> bool:
    """Keep the lead, its CV and the mails it owes, in one transaction, and return whether it is a new one.

    Under a `key`, the same submission is kept once: the second one is done already. Keys count together with their
    address, so that strangers don't meet, for KEY_TTL_S seconds. Raises InvalidFields where the key was used for
    another submission, SubmissionUnderWay where that has not ended yet, StorageUnavailable or DatabaseUnavailable; then
    nothing is kept, but that with the last of them bytes put into a store are left there: whether a commit that broke
    off came through is not known, and what no row names is collected later.
    """
    place = store_cv(database, settings, submission.cv)

    def work(connection: Connection) -> bool:
        # the first statement, so that the key's own lock is what a second submission waits for
        if key is not None and not _is_first(connection, submission, key):
            return False
        lead_id = insert_lead(connection, lead_row(submission, state=settings.states[0]))
        enqueue_mails(connection, settings, submission, lead_id)
        if key is not None:
            link = update(submission_key).where(*_is_key(submission, key)).values(lead_id=lead_id)
            execute_with_next(connection, link, {})
        insert_cv(connection, settings, submission, lead_id, place)
        return True

    try:
        is_new = database.write(work)
    except (ValidationError, IdempotencyKeyInUse):
        discard_stored_cv(place)
        raise
    if not is_new:
        discard_stored_cv(place)
    return is_new


def store_cv(database: Database, settings: Settings, cv: SpooledUpload) -> ObjectRef | None:
    """Put a CV into the store and return where; None: there is no store.

    The first one waits until the store was compared with the database: each new lead raises the number by which an
    older database is told from the store's own. Raises StorageUnavailable or DatabaseUnavailable.
    """
    if not settings.cv_store:
        return None
    store_marker.check_once(database, settings.cv_store)
    return store.put(settings.cv_store, cv.file)


def discard_stored_cv(place: ObjectRef | None) -> None:
    """Delete what was put into the store for a lead that is not kept; where that fails, it is collected later."""
    if place is not None:
        with suppress(StorageUnavailable):
            store.delete(place)


def lead_row(submission: Submission, *, state: str) -> dict[str, Any]:
    """Return a submission as a row of the table of leads."""
    return {
        "email": submission.email.text,
        "f_name": submission.f_name,
        "l_name": submission.l_name,
        "CV_name": submission.cv_name,
        "state": state,
        "email_key": submission.email.key,
        "f_name_key": normalize_key(submission.f_name),
        "l_name_key": normalize_key(submission.l_name),
    }


def insert_lead(connection: Connection, row: Mapping[str, Any]) -> int:
    """Insert a lead, and return its id."""
    return int(connection.execute(_INSERT_LEAD, row).scalar_one())


def insert_cv(
    connection: Connection, settings: Settings, submission: Submission, lead_id: int, place: ObjectRef | None
) -> None:
    """Write down a lead's CV: what it is, where it is, or its bytes; where there is a clamd, a scan of it is owed."""
    cv, found = submission.cv, submission.findings
    facts = {"size": cv.size, "sha256": cv.sha256, "detected_type": found.detected_type, "flags": ",".join(found.flags)}
    where = {"store_url": place.store_url, "store_key": place.key} if place else {}
    statement = _INSERT_SCANNED_CV if settings.clamd else _INSERT_CV
    execute_with_next(connection, statement, {"lead_id": lead_id, **facts, **where})
    if place is None:
        write_content(connection, lead_id=lead_id, file=cv.file, size=cv.size)


def enqueue_mails(connection: Connection, settings: Settings, submission: Submission, lead_id: int) -> None:
    """Write down the mails that a submission is answered and told of with."""
    email = submission.email
    outbox.enqueue(
        connection,
        lead_id=lead_id,
        prospect=outbox.Recipient(email.recipient, mailbox_key(email.text), settings.confirmation_interval_s),
        attorneys=settings.attorney_emails,
        domain=settings.mail_from.domain,
    )


def delete_expired_keys(database: Database) -> None:
    """Forget the keys that count no more. Raises DatabaseUnavailable."""
    old = delete(submission_key).where(submission_key.c.created_at <= Now(plus_s=-KEY_TTL_S))
    database.write(lambda connection: connection.execute(old))


def _is_first(connection: Connection, submission: Submission, key: str) -> bool:
    content = submission.content_sha256
    connection.execute(
        delete(submission_key).where(*_is_key(submission, key), submission_key.c.created_at <= Now(plus_s=-KEY_TTL_S))
    )
    try:
        row = {"email_key": submission.email.key, "key": key, "content_sha256": content}
        with short_lock_timeout(connection):
            if insert_if_absent(connection, submission_key, row):
                return True
    except LockTimeout as error:
        raise IdempotencyKeyInUse("the first submission under this key has not ended yet; try again") from error
    kept = select(submission_key.c.content_sha256).where(*_is_key(submission, key))
    if (first := connection.execute(kept).scalar()) is None:  # erased since
        raise IdempotencyKeyInUse("the first submission under this key is being erased; try again")
    if first != content:
        raise ValidationError(FieldError(KEY_FIELD, "was used for another submission; make a new one"))
    return False


def _is_key(submission: Submission, key: str) -> tuple[ColumnElement[bool], ...]:
    return submission_key.c.email_key == submission.email.key, submission_key.c.key == key


def _address(text: str) -> Address:
    try:
        # no DNS: a submission waits for nobody, and a domain that is down today is there tomorrow
        found = validate_email(_required(text), check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    return Address(found.normalized, found.ascii_email or found.normalized)


def _name(text: str) -> str:
    name = _required(text)
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"must have at most {MAX_NAME_CHARACTERS} characters")
    return _without_controls(name)


def _file(
    name: str | None, cv: SpooledUpload | None, extensions: Sequence[str]
) -> tuple[str, SpooledUpload, InspectionResult]:
    if name is None or cv is None:
        raise ValueError("is required: attach a file")
    if cv.size == 0:
        raise ValueError("is empty: attach a file with something in it")
    if len(name) > MAX_CV_NAME_CHARACTERS:
        raise ValueError(f"its file name must have at most {MAX_CV_NAME_CHARACTERS} characters")
    name = _without_controls(name, "its file name ")
    return name, cv, inspect(cv, name=name, extensions=extensions)


def _required(text: str) -> str:
    if not (trimmed := text.strip()):
        raise ValueError("is required")
    return trimmed


def _without_controls(text: str, subject: str = "") -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError(f"{subject}must not hold control characters")
    return text

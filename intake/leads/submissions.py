"""Submissions: validation, and saving the lead with its CV and mails."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, delete, select, true

from intake.cvs import store, store_marker
from intake.cvs.inspection import InspectionResult, inspect
from intake.cvs.spool import SpooledUpload
from intake.cvs.store import ObjectRef
from intake.database import Database, insert_if_absent, short_lock_timeout
from intake.database.clock import Now
from intake.database.cv_blobs import write_content
from intake.database.lead_rows import LeadTable, Rows, insert_lead
from intake.database.schema import cv as cv_table
from intake.database.schema import lead_consent, lead_field, lead_words, submission_key
from intake.errors import (
    FieldError,
    IdempotencyKeyInUse,
    InvalidValue,
    LockTimeout,
    StorageUnavailable,
    ValidationError,
)
from intake.form.answers import NO_ANSWERS, AnswerReader, Answers
from intake.form.values import limited, required, without_controls
from intake.leads import cv_texts
from intake.leads.normalization import mailbox_key, normalize_key, parse_email
from intake.leads.words import words_row
from intake.mail import outbox
from intake.request_models import MAX_CV_NAME_CHARACTERS, MAX_EMAIL_CHARACTERS, MAX_NAME_CHARACTERS
from intake.settings import Settings

FIELDS = ("email", "f_name", "l_name", "CV")
KEY_FIELD = "Idempotency-Key"
KEY_TTL_S = 24 * 3600.0
MAX_KEY_CHARACTERS = 255
_FILE_NAME = "its file name "

_WORDS = LeadTable(lead_words)
_FIELDS, _CONSENTS = LeadTable(lead_field), LeadTable(lead_consent)
_CV = LeadTable(cv_table)
_SCANNED_CV = LeadTable(cv_table, {"scan_state": "scanning", "next_scan_at": Now()})
_LINKED_KEY = LeadTable(submission_key, replacing=true())  # replaces the row that reserved the key

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """A prospect's address as stored, and as mail is sent to it (in ASCII if possible)."""

    text: str
    recipient: str

    @property
    def key(self) -> str:
        """Normalized key for comparisons."""
        return normalize_key(self.text)


@dataclass(frozen=True)
class Submission:
    """A validated submission."""

    email: Address
    f_name: str
    l_name: str
    cv_name: str
    cv: SpooledUpload
    inspection: InspectionResult
    answers: Answers = NO_ANSWERS

    @property
    def content_sha256(self) -> str:
        """SHA-256 of the fields and the CV in hexadecimal; not of the body, whose boundary differs in each retry."""
        content = [self.email.text, self.f_name, self.l_name, self.cv_name, self.cv.sha256, *self.answers.content]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def validate_idempotency_key(keys: Sequence[str]) -> str | None:
    """Return the Idempotency-Key, given the values of its header fields. Raises ValidationError."""
    if len(keys) > 1:
        raise ValidationError(FieldError(KEY_FIELD, "given more than once; send one", "repeated"))
    key = keys[0] if keys else None
    if key is not None and not (0 < len(key) <= MAX_KEY_CHARACTERS and key.isprintable()):
        detail = f"must have 1 to {MAX_KEY_CHARACTERS} printable characters"
        raise ValidationError(FieldError(KEY_FIELD, detail, "not_printable", {"max": MAX_KEY_CHARACTERS}))
    return key


def validate_submission(
    texts: Mapping[str, str],
    *,
    cv_name: str | None,
    cv: SpooledUpload | None,
    extensions: Sequence[str],
    faults: Iterable[FieldError] = (),
    answers: AnswerReader | None = None,
) -> Submission:
    """Validate a form's fields; `faults` are errors found while the form was parsed.

    `extensions` are those that a CV may have (empty: any). Inspecting the file takes a while. `answers` reads the
    fields that the firm defines, if the form may have any.

    Raises ValidationError with every error, one per field, in the order of the fields, or StorageUnavailable.
    """
    errors = {fault.field: fault for fault in faults}

    def checked(field: str, rule: Callable[[], T]) -> T | None:
        if field not in errors:
            try:
                return rule()
            except ValueError as error:
                errors[field] = FieldError.of(field, error)
        return None

    email = checked("email", lambda: _address(texts.get("email", "")))
    f_name = checked("f_name", lambda: _name(texts.get("f_name", "")))
    l_name = checked("l_name", lambda: _name(texts.get("l_name", "")))
    file = checked("CV", lambda: _file(cv_name, cv, extensions))
    given, invalid = answers.read(texts) if answers else (NO_ANSWERS, ())
    errors = {fault.field: fault for fault in invalid} | errors
    if email and f_name and l_name and file and not errors:
        return Submission(email, f_name, l_name, *file, given)
    raise ValidationError(*(errors.pop(field) for field in FIELDS if field in errors), *errors.values())


def create_lead(database: Database, settings: Settings, submission: Submission, *, key: str | None = None) -> bool:
    """Save the lead, its CV and its mails in one transaction, and return whether the lead is new.

    With an idempotency `key`, a repeated submission is saved once. Keys are valid for KEY_TTL_S seconds and scoped by
    address, so that keys of different senders can't collide.

    Raises ValidationError if the key was used for another submission, IdempotencyKeyInUse if that one has not ended,
    StorageUnavailable or DatabaseUnavailable; nothing is saved then.
    """

    def work(connection: Connection, ref: ObjectRef | None) -> tuple[None, bool]:
        # first, so that a second submission waits for the lock of the key
        if key is not None and not _is_first(connection, submission, key):
            return None, False
        rows = [
            words_rows(submission),
            *answer_rows(submission),
            *cv_rows(settings, submission, ref),
            *mail_rows(settings, submission),
        ]
        if key is not None:
            rows.append((_LINKED_KEY, [_key_row(submission, key)]))
        lead_id = insert_lead(connection, lead_row(submission, state=settings.states[0]), rows)
        write_cv(connection, submission, lead_id, ref)
        return None, True

    return write_with_cv(database, settings, submission.cv, work, write=database.write_grouped)[1]


def write_with_cv(
    database: Database,
    settings: Settings,
    cv: SpooledUpload,
    work: Callable[[Connection, ObjectRef | None], tuple[T, bool]],
    *,
    write: Callable[[Callable[[Connection], tuple[T, bool]]], tuple[T, bool]],
) -> tuple[T, bool]:
    """Put a CV into the configured store, run `work` in a transaction, and return its result and whether it is new.

    `work` gets the stored object, or None without a store. The object is deleted unless `work` ended with a new lead.
    If only the commit failed, the object is left to orphan collection, because the commit may have succeeded.

    Raises the errors of `write`, StorageUnavailable or DatabaseUnavailable.
    """
    ref, may_be_saved = None, False
    if settings.cv_store:
        # before new leads: they raise the number by which a restored, older database is detected
        store_marker.ensure_present(database, settings.cv_store)
        ref = store.put(settings.cv_store, cv.file)

    def tracked(connection: Connection) -> tuple[T, bool]:
        nonlocal may_be_saved
        may_be_saved = False  # it may run twice
        result = work(connection, ref)
        may_be_saved = result[1]
        return result

    try:
        return write(tracked)
    finally:
        if ref is not None and not may_be_saved:
            with suppress(StorageUnavailable):  # orphan collection deletes it later
                store.delete(ref)


def lead_row(submission: Submission, *, state: str) -> dict[str, Any]:
    """Return the row of the lead table for a submission."""
    return {
        "email": submission.email.text,
        "f_name": submission.f_name,
        "l_name": submission.l_name,
        "CV_name": submission.cv_name,
        "state": state,
        "email_key": submission.email.key,
        "f_name_key": normalize_key(submission.f_name),
        "l_name_key": normalize_key(submission.l_name),
        "suspect": submission.answers.suspect,
        "language": submission.answers.language,
    }


def words_rows(submission: Submission) -> Rows:
    """Return the row of the words by which a new lead is found until its CV is read."""
    values = [one.value for one in submission.answers.fields]
    return _WORDS, [words_row((submission.f_name, submission.l_name, submission.email.text, *values))]


def answer_rows(submission: Submission) -> list[Rows]:
    """Return the rows of a lead's fields and consents."""
    fields, consents = submission.answers.fields, submission.answers.consents
    return [(_FIELDS, [vars(one) for one in fields]), (_CONSENTS, [vars(one) for one in consents])]


def cv_rows(settings: Settings, submission: Submission, ref: ObjectRef | None) -> list[Rows]:
    """Return the rows of a lead's CV, which queue its scan (with clamd) and the extraction of its text."""
    cv, inspection = submission.cv, submission.inspection
    row = {"size": cv.size, "sha256": cv.sha256, "detected_type": inspection.detected_type}
    row["flags"] = ",".join(inspection.flags)
    if ref is not None:
        row |= {"store_url": ref.store_url, "store_key": ref.key}
    return [(_SCANNED_CV if settings.clamd else _CV, [row]), cv_texts.new_rows(is_scanned=settings.clamd is not None)]


def write_cv(connection: Connection, submission: Submission, lead_id: int, ref: ObjectRef | None) -> None:
    """Store the bytes of a lead's CV in the database, unless they are in a store."""
    if ref is None:
        write_content(connection, lead_id=lead_id, file=submission.cv.file, size=submission.cv.size)


def mail_rows(settings: Settings, submission: Submission) -> list[Rows]:
    """Return the rows that queue the confirmation to the prospect and the alerts to the attorneys."""
    return outbox.rows(
        prospect=submission.email.recipient,
        mailbox=mailbox_of(settings, submission.email.text),
        attorneys=settings.attorney_emails,
        domain=settings.mail_from.domain,
        is_suspect=submission.answers.suspect is not None,
    )


def mailbox_of(settings: Settings, email: str) -> outbox.Mailbox:
    """Return the mailbox of an email address, whose confirmations are limited."""
    return outbox.Mailbox(mailbox_key(email), settings.confirmation_interval_s)


def delete_expired_keys(database: Database) -> None:
    """Delete expired idempotency keys. Raises DatabaseUnavailable."""
    expired = delete(submission_key).where(submission_key.c.created_at <= Now(plus_s=-KEY_TTL_S))
    database.write(lambda connection: connection.execute(expired))


def _is_first(connection: Connection, submission: Submission, key: str) -> bool:
    connection.execute(
        delete(submission_key).where(*_is_key(submission, key), submission_key.c.created_at <= Now(plus_s=-KEY_TTL_S))
    )
    try:
        with short_lock_timeout(connection):
            if insert_if_absent(connection, submission_key, _key_row(submission, key)):
                return True
    except LockTimeout as error:
        raise IdempotencyKeyInUse("the first submission with this key is still in progress; try again") from error
    existing = select(submission_key.c.content_sha256).where(*_is_key(submission, key))
    if (first := connection.execute(existing).scalar()) is None:  # erased meanwhile
        raise IdempotencyKeyInUse("the first submission with this key is being erased; try again")
    if first != submission.content_sha256:
        raise ValidationError(FieldError(KEY_FIELD, "was used for another submission; use a new one", "already_used"))
    return False


def _key_row(submission: Submission, key: str) -> dict[str, str]:
    return {"email_key": submission.email.key, "key": key, "content_sha256": submission.content_sha256}


def _is_key(submission: Submission, key: str) -> tuple[ColumnElement[bool], ...]:
    return submission_key.c.email_key == submission.email.key, submission_key.c.key == key


def _address(text: str) -> Address:
    found = parse_email(limited(required(text), MAX_EMAIL_CHARACTERS))
    return Address(found.normalized, found.ascii_email or found.normalized)


def _name(text: str) -> str:
    return without_controls(limited(required(text), MAX_NAME_CHARACTERS))


def _file(
    name: str | None, cv: SpooledUpload | None, extensions: Sequence[str]
) -> tuple[str, SpooledUpload, InspectionResult]:
    if name is None or cv is None:
        raise InvalidValue("is required; attach a file", "required")
    if cv.size == 0:
        raise InvalidValue("is empty; attach a file with content", "empty")
    name = without_controls(limited(name, MAX_CV_NAME_CHARACTERS, _FILE_NAME), _FILE_NAME)
    return name, cv, inspect(cv, name=name, extensions=extensions)

"""Submissions: validation, and saving the lead with its CV and mails."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, delete, select, true

from intake.audit import LOCAL_ACTOR
from intake.cvs import store, store_marker
from intake.cvs.inspection import InspectionResult, inspect
from intake.cvs.spool import SpooledUpload
from intake.cvs.store import ObjectRef
from intake.database import Database, insert_if_absent, short_lock_timeout
from intake.database.clock import Now
from intake.database.cv_blobs import write_content
from intake.database.lead_rows import LeadTable, insert_lead
from intake.database.schema import submission_key
from intake.errors import (
    FieldError,
    IdempotencyKeyInUse,
    InvalidValue,
    LeadNotFound,
    LockTimeout,
    StorageUnavailable,
    ValidationError,
)
from intake.form.answers import NO_ANSWERS, AnswerReader
from intake.form.values import limited, required, without_controls
from intake.leads import suspects
from intake.leads.new_lead import (
    Address,
    Submission,
    answer_rows,
    cv_rows,
    lead_row,
    mail_rows,
    words_rows,
)
from intake.leads.normalization import parse_email
from intake.request_models import MAX_CV_NAME_CHARACTERS, MAX_EMAIL_CHARACTERS, MAX_NAME_CHARACTERS
from intake.settings import Settings

_NAMES = ("f_name", "l_name", "email")  # in the order of the forms
KEY_FIELD = "Idempotency-Key"
KEY_TTL_S = 24 * 3600.0
MAX_KEY_CHARACTERS = 255
MAX_LOCAL_BYTES = 64  # of an address before the @ (RFC 5321, section 4.5.3.1.1)
_FILE_NAME = "its file name "

_LINKED_KEY = LeadTable(submission_key, replacing=true())  # replaces the row that reserved the key

T = TypeVar("T")


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

    Raises ValidationError with every error, one per field, in the order of the hosted form, or StorageUnavailable.
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
    order = (*_NAMES, *(answers.fields if answers else ()), "CV", *(answers.names if answers else ()))
    raise ValidationError(*(errors.pop(field) for field in order if field in errors), *errors.values())


def create_lead(database: Database, settings: Settings, submission: Submission, *, key: str | None = None) -> bool:
    """Save the lead, its CV and its mails in one transaction, and return whether the lead is new.

    With an idempotency `key`, a repeated submission is saved once. Keys are valid for KEY_TTL_S seconds and scoped by
    address, so that keys of different senders can't collide. A repetition without a sign of spam clears a suspect lead.

    Raises ValidationError if the key was used for another submission, IdempotencyKeyInUse if that one has not ended,
    StorageUnavailable or DatabaseUnavailable; nothing is saved then.
    """

    def work(connection: Connection, ref: ObjectRef | None) -> tuple[None, bool]:
        # first, so that a second submission waits for the lock of the key
        if key is not None and (first := _first_lead(connection, submission, key)) is not None:
            if submission.answers.suspect is None:
                with suppress(LeadNotFound):  # it is being erased
                    suspects.clear_in(connection, settings, first, actor=LOCAL_ACTOR)
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


def write_cv(connection: Connection, submission: Submission, lead_id: int, ref: ObjectRef | None) -> None:
    """Store the bytes of a lead's CV in the database, unless they are in a store."""
    if ref is None:
        write_content(connection, lead_id=lead_id, file=submission.cv.file, size=submission.cv.size)


def delete_expired_keys(database: Database) -> None:
    """Delete expired idempotency keys. Raises DatabaseUnavailable."""
    expired = delete(submission_key).where(submission_key.c.created_at <= Now(plus_s=-KEY_TTL_S))
    database.write(lambda connection: connection.execute(expired))


def _first_lead(connection: Connection, submission: Submission, key: str) -> int | None:
    """Return the lead of an earlier submission with the key, or None after reserving the key."""
    connection.execute(
        delete(submission_key).where(*_is_key(submission, key), submission_key.c.created_at <= Now(plus_s=-KEY_TTL_S))
    )
    try:
        with short_lock_timeout(connection):
            if insert_if_absent(connection, submission_key, _key_row(submission, key)):
                return None
    except LockTimeout as error:
        raise IdempotencyKeyInUse("the first submission with this key is still in progress; try again") from error
    existing = select(submission_key.c.content_sha256, submission_key.c.lead_id).where(*_is_key(submission, key))
    if (first := connection.execute(existing).first()) is None:  # erased meanwhile
        raise IdempotencyKeyInUse("the first submission with this key is being erased; try again")
    if first.content_sha256 != submission.content_sha256:
        raise ValidationError(FieldError(KEY_FIELD, "was used for another submission; use a new one", "already_used"))
    return int(first.lead_id)


def _key_row(submission: Submission, key: str) -> dict[str, str]:
    return {"email_key": submission.email.key, "key": key, "content_sha256": submission.content_sha256}


def _is_key(submission: Submission, key: str) -> tuple[ColumnElement[bool], ...]:
    return submission_key.c.email_key == submission.email.key, submission_key.c.key == key


def _address(text: str) -> Address:
    found = parse_email(limited(required(text), MAX_EMAIL_CHARACTERS))
    # not in `parse_email`: leads that were stored before can still be exported and erased
    local = found.normalized.rpartition("@")[0]
    if "=?" in local:  # an encoded word (RFC 2047), which programs decode in a mail's header
        detail = "must be an email address without =?; use another address"
        raise InvalidValue(detail, "not_an_email", suggestion=None)
    if len(local.encode()) > MAX_LOCAL_BYTES:
        detail = f"must have at most {MAX_LOCAL_BYTES} bytes before the @; use another address"
        raise InvalidValue(detail, "not_an_email", suggestion=None)
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

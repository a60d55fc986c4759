"""Leads as they come in: checked whole, then kept with their CV and the mails they owe."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import Connection, insert

from intake.cvs.spool import Spool
from intake.database import Database
from intake.database.blobs import write_cv
from intake.database.schema import lead
from intake.errors import FieldFault, InvalidFields
from intake.leads.keys import fold
from intake.mail import outbox
from intake.settings import Settings

FIELDS = ("email", "f_name", "l_name", "CV")
MAX_NAME_CHARACTERS = 200
MAX_CV_NAME_CHARACTERS = 255

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """A prospect's address as it is kept, and as mail is sent to it (in ASCII where that can be)."""

    text: str
    recipient: str


@dataclass(frozen=True)
class Submission:
    """What a prospect sent, checked."""

    email: Address
    f_name: str
    l_name: str
    cv_name: str
    cv: Spool


def check(
    texts: Mapping[str, str], *, cv_name: str | None, cv: Spool | None, faults: Iterable[FieldFault] = ()
) -> Submission:
    """Return the submission that a form's fields make; `faults` are those found while the form was read.

    Raises InvalidFields with every fault, one for a field, in the order of the fields.
    """
    found = {fault.field: fault for fault in faults}

    def checked(field: str, rule: Callable[[], T]) -> T | None:
        if field not in found:
            try:
                return rule()
            except ValueError as error:
                found[field] = FieldFault(field, str(error))
        return None

    email = checked("email", lambda: _address(texts.get("email", "")))
    f_name = checked("f_name", lambda: _name(texts.get("f_name", "")))
    l_name = checked("l_name", lambda: _name(texts.get("l_name", "")))
    file = checked("CV", lambda: _file(cv_name, cv))
    if email and f_name and l_name and file and not found:
        return Submission(email, f_name, l_name, *file)
    raise InvalidFields(*(found.pop(field) for field in FIELDS if field in found), *found.values())


def submit(database: Database, settings: Settings, submission: Submission) -> int:
    """Keep the lead, its CV and the mails it owes, in one transaction, and return the lead's id.

    Raises DatabaseUnavailable; then nothing is kept.
    """

    def work(connection: Connection) -> int:
        lead_id = _insert_lead(connection, submission, state=settings.states[0])
        cv = submission.cv
        write_cv(
            connection,
            lead_id=lead_id,
            file=cv.file,
            size=cv.size,
            sha256=cv.sha256,
            detected_type=cv.detected_type,
        )
        outbox.owe(
            connection,
            lead_id=lead_id,
            prospect=submission.email.recipient,
            attorneys=settings.attorney_emails,
            domain=settings.mail_from.domain,
        )
        return lead_id

    return database.write(work)


def _insert_lead(connection: Connection, submission: Submission, *, state: str) -> int:
    statement = insert(lead).returning(lead.c.id)
    values = {
        "email": submission.email.text,
        "f_name": submission.f_name,
        "l_name": submission.l_name,
        "CV_name": submission.cv_name,
        "state": state,
        "email_key": fold(submission.email.text),
        "f_name_key": fold(submission.f_name),
        "l_name_key": fold(submission.l_name),
    }
    return int(connection.execute(statement, values).scalar_one())


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


def _file(name: str | None, cv: Spool | None) -> tuple[str, Spool]:
    if name is None or cv is None:
        raise ValueError("is required: attach a file")
    if cv.size == 0:
        raise ValueError("is empty: attach a file with something in it")
    if len(name) > MAX_CV_NAME_CHARACTERS:
        raise ValueError(f"its file name must have at most {MAX_CV_NAME_CHARACTERS} characters")
    return _without_controls(name, "its file name "), cv


def _required(text: str) -> str:
    if not (trimmed := text.strip()):
        raise ValueError("is required")
    return trimmed


def _without_controls(text: str, subject: str = "") -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError(f"{subject}must not hold control characters")
    return text

"""A validated submission, and the rows of its lead."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from intake.cvs.inspection import InspectionResult
from intake.cvs.spool import SpooledUpload
from intake.cvs.store import ObjectRef
from intake.database.clock import Now
from intake.database.lead_rows import LeadTable, Rows
from intake.database.schema import cv as cv_table
from intake.database.schema import lead_consent, lead_field, lead_words
from intake.form.answers import NO_ANSWERS, Answers
from intake.leads import cv_texts
from intake.leads.normalization import mailbox_key, normalize_key
from intake.leads.words import words_row
from intake.mail import outbox
from intake.settings import Settings

_WORDS = LeadTable(lead_words)
_FIELDS, _CONSENTS = LeadTable(lead_field), LeadTable(lead_consent)
_CV = LeadTable(cv_table)
_SCANNED_CV = LeadTable(cv_table, {"scan_state": "scanning", "next_scan_at": Now()})


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

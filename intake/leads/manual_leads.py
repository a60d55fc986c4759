"""Leads that attorneys create: walk-ins, and imports from another system."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, select

from intake.audit import Action, Actor, record
from intake.cvs.spool import SpooledUpload
from intake.cvs.store import ObjectRef
from intake.database import Database, insert_if_absent, short_lock_timeout
from intake.database.lead_rows import insert_lead, insert_rows
from intake.database.schema import lead
from intake.errors import DatabaseUnavailable, ExternalIdTaken, FieldError, ValidationError
from intake.leads.data_subjects import DataSubject
from intake.leads.new_lead import Submission, cv_rows, lead_row, mail_rows, words_rows
from intake.leads.states import validate_states
from intake.leads.submissions import validate_submission, write_cv, write_with_cv
from intake.settings import Settings

MAX_EXTERNAL_ID_CHARACTERS = 255

T = TypeVar("T")


@dataclass(frozen=True)
class ManualLead:
    """A submission, its id in another system, its first state, and flags: queue the usual mails; save nothing."""

    submission: Submission
    external_id: str | None
    state: str
    notify: bool
    dry_run: bool = False


def validate_manual_lead(
    texts: Mapping[str, str],
    *,
    states: Sequence[str],
    cv_name: str | None,
    cv: SpooledUpload | None,
    extensions: Sequence[str],
    faults: Iterable[FieldError] = (),
) -> ManualLead:
    """Validate a form's fields; `faults` are errors found while the form was parsed.

    Raises ValidationError with every error, those of the submission first, or StorageUnavailable.
    """
    errors = list(faults)

    def checked(rule: Callable[[Mapping[str, str]], T], default: T) -> T:
        try:
            return rule(texts)
        except ValidationError as error:
            errors.extend(error.faults)
            return default

    external_id = checked(_external_id, None)
    state = checked(lambda fields: _state(fields, states), "")
    notify = checked(lambda fields: _flag(fields, "notify"), False)
    dry_run = checked(lambda fields: _flag(fields, "dry_run"), False)
    submission = validate_submission(texts, cv_name=cv_name, cv=cv, extensions=extensions, faults=errors)
    return ManualLead(submission, external_id, state, notify, dry_run)


def create_manual_lead(
    database: Database, settings: Settings, manual_lead: ManualLead, *, actor: Actor
) -> tuple[int | None, bool]:
    """Save the lead, its CV and its mails in one transaction; return its id, and whether it is new.

    If the person's lead with the external id exists, return it unchanged. A dry run saves nothing: the id of a new lead
    is None. Raises ExternalIdTaken, StorageUnavailable or DatabaseUnavailable; then nothing is saved.
    """
    existing = database.read(lambda connection: _find(connection, manual_lead))
    if existing is not None:  # before the CV is put into the store
        return existing, False
    if manual_lead.dry_run:
        return None, True

    def work(connection: Connection, ref: ObjectRef | None) -> tuple[int, bool]:
        lead_id, is_new = _insert_lead(connection, manual_lead)
        if is_new:
            record(connection, Action.LEAD_CREATION, actor, lead_id=lead_id, detail=manual_lead.state)
            submission = manual_lead.submission
            mails = mail_rows(settings, submission) if manual_lead.notify else []
            rows = [words_rows(submission), *cv_rows(settings, submission, ref), *mails]
            insert_rows(connection, lead_id, rows)
            write_cv(connection, submission, lead_id, ref)
        return lead_id, is_new

    return write_with_cv(database, settings, manual_lead.submission.cv, work, write=database.write)


def _insert_lead(connection: Connection, manual_lead: ManualLead) -> tuple[int, bool]:
    row = lead_row(manual_lead.submission, state=manual_lead.state)
    if manual_lead.external_id is None:
        return insert_lead(connection, row, []), True
    with short_lock_timeout(connection):
        is_new = insert_if_absent(connection, lead, {**row, "external_id": manual_lead.external_id})
    lead_id = _find(connection, manual_lead)
    if lead_id is None:
        raise DatabaseUnavailable("the lead with this external id was just erased; try again")
    return lead_id, is_new


def _find(connection: Connection, manual_lead: ManualLead) -> int | None:
    """Return the id of the person's lead with the external id, if there is one. Raises ExternalIdTaken."""
    if manual_lead.external_id is None:
        return None
    query = select(lead.c.id, lead.c.email).where(lead.c.external_id == manual_lead.external_id)
    if (found := connection.execute(query).first()) is None:
        return None
    if not DataSubject(manual_lead.submission.email.text).matches(found.email):
        detail = f"{manual_lead.external_id} belongs to lead {found.id}, {found.email}; use another id"
        raise ExternalIdTaken(FieldError("external_id", detail, "another_person", {"lead_id": found.id}))
    return int(found.id)


def _external_id(texts: Mapping[str, str]) -> str | None:
    text = texts.get("external_id")
    if text is not None and not (0 < len(text) <= MAX_EXTERNAL_ID_CHARACTERS and text.isprintable()):
        detail = f"must have 1 to {MAX_EXTERNAL_ID_CHARACTERS} printable characters"
        raise ValidationError(FieldError("external_id", detail, "not_printable", {"max": MAX_EXTERNAL_ID_CHARACTERS}))
    return text


def _state(texts: Mapping[str, str], states: Sequence[str]) -> str:
    state = texts.get("state", states[0])
    validate_states([state], known=states, field="state")
    return state


def _flag(texts: Mapping[str, str], name: str) -> bool:
    text = texts.get(name, "false")
    if text not in ("true", "false"):
        raise ValidationError(FieldError(name, "must be true or false", "not_one_of", {"choices": ["true", "false"]}))
    return text == "true"

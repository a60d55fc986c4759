"""Erasure of leads: by person, or when a state's retention period has passed.

A lead's CV, history, mails, keys and external id are deleted with its row. The audit trail records the erasure under
the lead's id, and bulk changes keep their counts.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, delete, func, select

from intake.audit import Action, Actor, record
from intake.cvs import deletions
from intake.cvs.store import ObjectRef
from intake.database import Database
from intake.database.clock import Now
from intake.database.ids import is_among
from intake.database.schema import cv, lead, outbox_mail
from intake.database.secure_delete import MAX_REWRITE_BYTES, mark_deletion
from intake.errors import DatabaseUnavailable, LockTimeout
from intake.leads import data_subjects
from intake.leads.data_subjects import DataSubject, SubjectLead
from intake.mail import outbox

MAX_LEADS = 200  # in one transaction
MAX_BYTES = 2**26  # of CVs in one transaction: SQLite writes as much to its WAL
MAX_DURATION_S = 20.0  # of one request; the next request continues
MAX_ATTEMPTS = 3  # while another transaction locks a lead or a mail
DAY_S = 86_400.0

log = logging.getLogger("intake.leads")

T = TypeVar("T")


class ErasedLead(BaseModel):
    """An erased lead and its last state."""

    id: int
    state: str


class Erased(BaseModel):
    """Result or preview of an erasure."""

    leads: list[ErasedLead] = Field(default_factory=list)
    cvs: int = 0
    mails: int = Field(default=0, description="Mails in any state.")
    mails_sent: int = Field(default=0, description="Sent mails; copies at their recipients remain.")
    objects_left: int = Field(default=0, description="CVs that the store could not delete yet; the worker retries.")
    complete: bool = Field(default=False, description="False if leads remain: repeat the request.")
    swept: bool = Field(default=False, description="Whether no deleted data is left in the database's files.")


@dataclass(frozen=True)
class _Cause:
    """Audited action and actor of an erasure, and the conditions that each lead must meet once it is locked."""

    action: Action
    actor: Actor
    conditions: tuple[ColumnElement[bool], ...] = ()


def preview(database: Database, person: DataSubject, *, actor: Actor) -> Erased:
    """Return what an erasure of the person would delete, and record the request.

    Raises PersonNotFound or DatabaseUnavailable.
    """
    found = data_subjects.find_leads(database, person)

    def work(connection: Connection) -> Erased:
        for subject_lead in found:
            record(connection, Action.ERASURE_PREVIEW, actor, lead_id=subject_lead.id)
        return _count(connection, [ErasedLead(id=one.id, state=one.state) for one in found])

    return database.write(work)


def erase(database: Database, person: DataSubject, *, actor: Actor) -> Erased:
    """Erase all leads of the person, including ones submitted meanwhile, in transactions of up to MAX_LEADS.

    Stops after MAX_DURATION_S seconds; the next call continues. Raises PersonNotFound or DatabaseUnavailable; batches
    that were already erased stay erased.
    """
    deadline = time.monotonic() + MAX_DURATION_S
    remaining = data_subjects.find_leads(database, person)
    cause = _Cause(Action.ERASURE, actor)
    erased = Erased()
    while remaining:
        batch = _first_batch(remaining)
        erased = _sum(erased, _erase(database, [one.id for one in batch], cause))
        remaining = remaining[len(batch) :] or data_subjects.find_leads_or_none(database, person)
        if time.monotonic() >= deadline:
            break
    erased.complete = not remaining
    if erased.complete and not erased.leads:  # another erasure was faster
        raise data_subjects.not_found(person)
    erased.swept = not remaining and purge_deleted_data(database, max_bytes=MAX_REWRITE_BYTES)
    return erased


def preview_retention(database: Database, retention: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Return the number of leads in each state that are past its retention in days. Raises DatabaseUnavailable."""
    counts = {
        state: select(func.count()).select_from(lead).where(*_overdue_conditions(state, days))
        for state, days in retention
    }
    return database.read(lambda found: {state: found.execute(count).scalar_one() for state, count in counts.items()})


def purge(database: Database, retention: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Erase the leads past their state's retention in days; yield the state and count of each batch.

    Concurrent purges skip each other's leads. A lead that changes state meanwhile is not erased. Raises LockTimeout at
    the end if other transactions lock leads for too long, or DatabaseUnavailable.
    """
    in_use: list[int] = []
    for state, days in retention:
        cause, skipped = _Cause(Action.RETENTION, Actor(), _overdue_conditions(state, days)), set[int]()
        while ids := database.read(lambda connection: _overdue_ids(connection, cause, skipped)):  # noqa: B023 - called immediately
            erased = Erased()
            with suppress(LockTimeout):  # of a mail
                erased = _erase(database, ids, cause, skip_locked=True)
            yield state, len(erased.leads)
            skipped.update(set(ids) - {one.id for one in erased.leads})
        try:
            while ids := database.read(lambda connection: _overdue_ids(connection, cause)):  # noqa: B023
                yield state, len(_erase(database, ids, cause).leads)
        except LockTimeout:
            in_use += ids
    if in_use:
        detail = f"leads in use, which can't be erased now: {', '.join(map(str, sorted(in_use)))}"
        raise LockTimeout(detail, reason=detail)


def purge_all(database: Database, retention: Sequence[tuple[str, int]]) -> tuple[Mapping[str, int], str]:
    """Do as `purge` does, and return the number of erased leads in each state, and why some are left, if any are."""
    counts = {state: 0 for state, _ in retention}
    try:
        for state, count in purge(database, retention):
            counts[state] += count
    except LockTimeout as error:
        return counts, error.reason
    return counts, ""


def purge_deleted_data(database: Database, *, max_bytes: int | None) -> bool:
    """Do as `Database.purge_deleted` does, but return False if it is prevented."""
    try:
        return database.purge_deleted(max_bytes=max_bytes)
    except DatabaseUnavailable as error:
        log.warning("deleted data is still in the database's files: %s", error.reason)
        return False


def _overdue_conditions(state: str, days: int) -> tuple[ColumnElement[bool], ...]:
    return lead.c.state == state, lead.c.state_since <= Now(plus_s=-days * DAY_S)


def _overdue_ids(connection: Connection, cause: _Cause, skipped: Collection[int] = ()) -> list[int]:
    query = (
        select(lead.c.id, lead.c.state, func.coalesce(cv.c.size, 0))
        .outerjoin(cv, cv.c.lead_id == lead.c.id)
        .where(*cause.conditions, *([~is_among(lead.c.id, skipped)] if skipped else []))
        .order_by(lead.c.state_since)
        .limit(MAX_LEADS)
    )
    return [one.id for one in _first_batch([SubjectLead(*row) for row in connection.execute(query)])]


def _first_batch(leads: Sequence[SubjectLead]) -> Sequence[SubjectLead]:
    """Return the first leads, up to MAX_LEADS and MAX_BYTES of CVs, but at least one."""
    size = 0
    for index, subject_lead in enumerate(leads[:MAX_LEADS]):
        size += subject_lead.cv_size
        if index and size > MAX_BYTES:
            return leads[:index]
    return leads[:MAX_LEADS]


def _erase(database: Database, ids: Sequence[int], cause: _Cause, *, skip_locked: bool = False) -> Erased:
    def work(connection: Connection) -> tuple[Erased, list[ObjectRef]]:
        outbox.lock_mails(connection, ids, skip_locked=skip_locked)
        locked = select(lead.c.id, lead.c.state).where(is_among(lead.c.id, ids), *cause.conditions).order_by(lead.c.id)
        rows = connection.execute(locked.with_for_update(skip_locked=skip_locked))
        found = [ErasedLead(id=row.id, state=row.state) for row in rows]
        lead_ids = [one.id for one in found]
        erased, objects = _count(connection, found), deletions.record(connection, lead_ids)
        connection.execute(delete(lead).where(is_among(lead.c.id, lead_ids)))
        for lead_id in lead_ids:
            record(connection, cause.action, cause.actor, lead_id=lead_id)
        mark_deletion(connection)
        return erased, objects

    erased, objects = _retry_on_lock_timeout(lambda: database.write(work))
    erased.objects_left = deletions.finish(database, objects)
    return erased


def _retry_on_lock_timeout(work: Callable[[], T]) -> T:
    for _ in range(MAX_ATTEMPTS - 1):
        with suppress(LockTimeout):
            return work()
    return work()


def _count(connection: Connection, leads: list[ErasedLead]) -> Erased:
    lead_ids = [one.id for one in leads]
    is_sent = (outbox_mail.c.state == "sent").label("is_sent")
    counts = select(is_sent, func.count()).where(is_among(outbox_mail.c.lead_id, lead_ids)).group_by(is_sent)
    mails = {bool(sent): int(count) for sent, count in connection.execute(counts)}
    cvs = select(func.count()).select_from(cv).where(is_among(cv.c.lead_id, lead_ids))
    return Erased(
        leads=leads,
        cvs=int(connection.execute(cvs).scalar_one()),
        mails=sum(mails.values()),
        mails_sent=mails.get(True, 0),
    )


def _sum(one: Erased, other: Erased) -> Erased:
    added = ("leads", "cvs", "mails", "mails_sent", "objects_left")
    return Erased(**{name: getattr(one, name) + getattr(other, name) for name in added})

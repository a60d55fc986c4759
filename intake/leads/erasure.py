"""Leads erased: all of one person's, or those that have been in a state for as long as they may.

A lead's CV, history, mails, keys and external id go with its row. That it was erased stays in the audit trail, under
its number, and the changes that it was part of keep their counts.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, delete, func, select

from intake.audit import Action, Actor, record
from intake.cvs import deletions
from intake.cvs.store import ObjectRef
from intake.database import Database
from intake.database.clock import Now
from intake.database.ids import is_among
from intake.database.schema import cv, lead, outbox_mail
from intake.database.secure_delete import REWRITTEN_BYTES, note_deletion
from intake.errors import DatabaseUnavailable, LockTimeout
from intake.leads import data_subjects
from intake.leads.data_subjects import DataSubject, SubjectLead

MAX_LEADS = 200  # in one transaction
MAX_BYTES = 2**26  # of their CVs: SQLite writes as much to its log
WITHIN_S = 20.0  # an erasure's time in one request; what is left is for the next
ATTEMPTS = 3  # where another transaction holds a lead or a mail
DAY_S = 86_400.0

log = logging.getLogger("intake.leads")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What was erased, or would be: leads with the states they were in, CVs, mails, and how many of these were sent.

    `objects_left` counts CVs that could not be deleted from their store yet, which the worker retries; `is_complete`:
    no lead of the person is left; `is_swept`: no trace is left in the database's files either.
    """

    leads: tuple[tuple[int, str], ...] = ()
    cvs: int = 0
    mails: int = 0
    mails_sent: int = 0
    objects_left: int = 0
    is_complete: bool = False
    is_swept: bool = False


@dataclass(frozen=True)
class _Cause:
    """Why leads are erased, for the trail, and the conditions that must hold of each still, once it is locked."""

    action: Action
    origin: Actor
    conditions: tuple[ColumnElement[bool], ...] = ()


def preview(database: Database, person: DataSubject, *, origin: Actor) -> Erased:
    """Return what would be erased of the person, and record that it was asked for.

    Raises PersonNotFound or DatabaseUnavailable.
    """
    found = data_subjects.find_leads(database, person)

    def work(connection: Connection) -> Erased:
        for one in found:
            record(connection, Action.ERASURE_PREVIEW, origin, lead_id=one.id)
        return _counted(connection, [(one.id, one.state) for one in found])

    return database.write(work)


def erase(database: Database, person: DataSubject, *, origin: Actor) -> Erased:
    """Erase all of the person's leads, what comes in meanwhile too, in transactions of up to MAX_LEADS.

    After WITHIN_S seconds the rest is left for another call. Raises PersonNotFound or DatabaseUnavailable; what was
    erased before stays so.
    """
    until = time.monotonic() + WITHIN_S
    waiting = data_subjects.find_leads(database, person)
    cause = _Cause(Action.ERASURE, origin)
    erased = Erased()
    while waiting:
        batch = _first_batch(waiting)
        erased = _sum(erased, _erase(database, [one.id for one in batch], cause))
        waiting = waiting[len(batch) :] or data_subjects.find_leads_or_none(database, person)
        if time.monotonic() >= until:
            break
    return replace(erased, is_complete=not waiting, is_swept=not waiting and purge_deleted_data(database))


def preview_retention(database: Database, retention: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Return how many leads have been in each of the states for more than its days. Raises DatabaseUnavailable."""

    def count(connection: Connection, state: str, days: int) -> int:
        query = select(func.count()).select_from(lead).where(*_over(state, days))
        return int(connection.execute(query).scalar_one())

    return {
        state: database.read(lambda connection: count(connection, state, days))  # noqa: B023 - run at once
        for state, days in retention
    }


def purge(database: Database, retention: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Erase the leads that have been in one of the states for more than its days; yield each batch's state and count.

    Several that do so at once pass over each other's. A lead that is moved meanwhile is kept. Raises
    DatabaseUnavailable.
    """
    for state, days in retention:
        cause = _Cause(Action.RETENTION, Actor(), _over(state, days))
        while ids := database.read(lambda connection: _overdue(connection, cause)):  # noqa: B023 - run at once
            erased = _erase(database, ids, cause)
            yield state, len(erased.leads)
            if not erased.leads:  # others hold or erase them
                break


def purge_deleted_data(database: Database, *, whatever_its_size: bool = False) -> bool:
    """Return whether no trace of what was erased is left in the database's files, once that was tried."""
    try:
        return database.sweep(most_bytes=None if whatever_its_size else REWRITTEN_BYTES)
    except DatabaseUnavailable as error:
        log.warning("what was erased is not swept out of the database's files yet: %s", error.reason)
        return False


def _over(state: str, days: int) -> tuple[ColumnElement[bool], ...]:
    return lead.c.state == state, lead.c.state_since <= Now(plus_s=-days * DAY_S)


def _overdue(connection: Connection, cause: _Cause) -> list[int]:
    query = (
        select(lead.c.id, lead.c.state, func.coalesce(cv.c.size, 0))
        .outerjoin(cv, cv.c.lead_id == lead.c.id)
        .where(*cause.conditions)
        .order_by(lead.c.state_since)
        .limit(MAX_LEADS)
    )
    return [one.id for one in _first_batch([SubjectLead(*row) for row in connection.execute(query)])]


def _first_batch(leads: Sequence[SubjectLead]) -> Sequence[SubjectLead]:
    """Return the first MAX_LEADS leads, or as many of them as have CVs of MAX_BYTES together, but one at least."""
    size = 0
    for number, one in enumerate(leads[:MAX_LEADS]):
        size += one.cv_size
        if number and size > MAX_BYTES:
            return leads[:number]
    return leads[:MAX_LEADS]


def _erase(database: Database, ids: Sequence[int], cause: _Cause) -> Erased:
    def work(connection: Connection) -> tuple[Erased, list[ObjectRef]]:
        # in the order of ids, since opposite orders deadlock
        locked = select(lead.c.id, lead.c.state).where(is_among(lead.c.id, ids), *cause.conditions).order_by(lead.c.id)
        passes_over = cause.action is Action.RETENTION
        found = [(row.id, row.state) for row in connection.execute(locked.with_for_update(skip_locked=passes_over))]
        numbers = [number for number, _ in found]
        mails = select(outbox_mail.c.id).where(is_among(outbox_mail.c.lead_id, numbers)).order_by(outbox_mail.c.id)
        connection.execute(mails.with_for_update())
        counted, places = _counted(connection, found), deletions.record(connection, numbers)
        connection.execute(delete(lead).where(is_among(lead.c.id, numbers)))
        for number in numbers:
            record(connection, cause.action, cause.origin, lead_id=number)
        note_deletion(connection)
        return counted, places

    erased, places = _patiently(lambda: database.write(work))
    return replace(erased, objects_left=deletions.finish(database, places))


def _patiently(work: Callable[[], T]) -> T:
    for _ in range(ATTEMPTS - 1):
        with suppress(LockTimeout):
            return work()
    return work()


def _counted(connection: Connection, leads: Sequence[tuple[int, str]]) -> Erased:
    numbers = [number for number, _ in leads]
    is_sent = (outbox_mail.c.state == "sent").label("is_sent")
    of_mails = select(is_sent, func.count()).where(is_among(outbox_mail.c.lead_id, numbers)).group_by(is_sent)
    mails = {bool(sent): int(count) for sent, count in connection.execute(of_mails)}
    cvs = select(func.count()).select_from(cv).where(is_among(cv.c.lead_id, numbers))
    return Erased(
        leads=tuple(leads),
        cvs=int(connection.execute(cvs).scalar_one()),
        mails=sum(mails.values()),
        mails_sent=mails.get(True, 0),
    )


def _sum(one: Erased, other: Erased) -> Erased:
    return Erased(
        leads=one.leads + other.leads,
        cvs=one.cvs + other.cvs,
        mails=one.mails + other.mails,
        mails_sent=one.mails_sent + other.mails_sent,
        objects_left=one.objects_left + other.objects_left,
    )

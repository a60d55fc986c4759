"""Alerts gathered into digests: what comes in within an interval is told to an attorney in one mail.

An alert's `digest_id` names the mail that tells of it: itself, or the first of those it was gathered with. Whoever
gathers an attorney's alerts first moves the moment of the last one on; another that tries at the same time waits for
that, and finds that it is not due.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Update,
    bindparam,
    func,
    or_,
    select,
    update,
)

from intake.database import insert_if_absent
from intake.database.clock import Now
from intake.database.schema import IS_QUEUED, UNGATHERED, alerted_address, lead, outbox_mail

MAX_LISTED_LEADS = 100
MAX_GATHERED = 10_000
HELD_UP_S = 3600.0
WRONG_BY_S = 3600.0
_EACH_ALONE = update(outbox_mail).where(UNGATHERED).values(digest_id=outbox_mail.c.id)


@dataclass(frozen=True)
class DigestLead:
    """What a mail's text may need of a lead."""

    id: int
    email: str
    f_name: str
    l_name: str
    cv_name: str
    created_at: datetime


def build_digests(connection: Connection, *, interval_s: float) -> None:
    """Make mails of the alerts that no mail tells of yet, one for each attorney who had none in `interval_s` seconds.

    While a mail to an attorney is still owed, the next is made an hour after it, so that a relay which comes back is
    not met by one for each interval that it was away. Without an interval, each alert is a mail of its own.
    """
    if not interval_s:
        connection.execute(_EACH_ALONE)
        return
    for address, is_held_up in connection.execute(_waiting(interval_s)).all():
        is_due = _is_over(max(interval_s, HELD_UP_S) if is_held_up else interval_s)
        if insert_if_absent(connection, alerted_address, {"address": address}, replacing=is_due):
            _gather(connection, address)


@cache
def _waiting(interval_s: float) -> Select[Any]:
    """Return the statement that finds who waits for an alert, and whether a mail to them is still owed."""
    owed = outbox_mail.alias()
    held_up = select(owed.c.recipient).where(IS_QUEUED, owed.c.kind == "alert")
    return (
        select(outbox_mail.c.recipient, outbox_mail.c.recipient.in_(held_up))
        .outerjoin(alerted_address, alerted_address.c.address == outbox_mail.c.recipient)
        .where(UNGATHERED, or_(alerted_address.c.address.is_(None), _is_over(interval_s)))
        .distinct()
        .order_by(outbox_mail.c.recipient)
    )


@cache
def _is_over(interval_s: float) -> ColumnElement[bool]:
    # a moment that is long to come was written by a clock that was wrong
    was_wrong = alerted_address.c.alerted_at > Now(plus_s=WRONG_BY_S)
    return or_(alerted_address.c.alerted_at <= Now(plus_s=-interval_s), was_wrong)


def _gather(connection: Connection, address: str) -> None:
    """Gather an attorney's alerts, passing over what another transaction holds, e.g. since it erases the lead."""
    free = (
        select(outbox_mail.c.id)
        .where(UNGATHERED, outbox_mail.c.recipient == address)
        .order_by(outbox_mail.c.id)
        .limit(MAX_GATHERED)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    first = select(func.min(free.c.id)).scalar_subquery()
    # what the mail is given up by runs from now on
    gathered = {"digest_id": first, "queued_since": Now(), "next_attempt_at": Now()}
    connection.execute(update(outbox_mail).where(outbox_mail.c.id.in_(select(free.c.id))).values(gathered))


def told_leads(connection: Connection, mails: Sequence[int]) -> dict[int, tuple[tuple[DigestLead, ...], int]]:
    """Return for each mail the first MAX_TOLD leads that it tells of, and how many there are."""
    rows = connection.execute(_told_leads(), {"mails": mails, "most": MAX_LISTED_LEADS}).mappings()
    return {
        number: (tuple(_told(row) for row in own), own[0]["count"])
        for number, group in groupby(rows, key=lambda row: int(row["mail"]))
        for own in [list(group)]
    }


@cache
def _told_leads() -> Select[Any]:
    mail = func.coalesce(outbox_mail.c.digest_id, outbox_mail.c.id).label("mail")
    mails: BindParameter[int] = bindparam("mails", expanding=True)
    numbered = (
        select(
            mail,
            outbox_mail.c.lead_id,
            func.row_number().over(partition_by=mail, order_by=outbox_mail.c.id).label("number"),
            func.count().over(partition_by=mail).label("count"),
        )
        .where(or_(outbox_mail.c.id.in_(mails), outbox_mail.c.digest_id.in_(mails)))
        .subquery()
    )
    return (
        select(numbered.c.mail, numbered.c.count, lead)
        .join(lead, lead.c.id == numbered.c.lead_id)
        .where(numbered.c.number <= bindparam("most"))
        .order_by(numbered.c.mail, numbered.c.number)
    )


def settle(mail_id: int, values: Mapping[str, object]) -> Update:
    """Return the statement that writes down, for what a digest tells of, what became of the digest."""
    others = outbox_mail.c.digest_id == mail_id, outbox_mail.c.id != mail_id, outbox_mail.c.state == "queued"
    return update(outbox_mail).where(*others).values(dict(values))


def _told(row: RowMapping) -> DigestLead:
    return DigestLead(*(row[name] for name in ("id", "email", "f_name", "l_name", "CV_name", "created_at")))

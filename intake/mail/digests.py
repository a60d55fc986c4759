"""Digests: the alerts of one interval, reported to an attorney in one mail.

An alert's `digest_id` is the id of the mail that reports it: its own, or that of the digest's first alert. A worker
that builds an attorney's digest first updates the time of the last one. A concurrent worker waits for that update, and
then finds that no digest is due.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    or_,
    select,
    update,
)

from intake.database import insert_if_absent
from intake.database.clock import Now
from intake.database.ids import is_among
from intake.database.schema import DELIVERABLE, UNGROUPED, alerted_address, lead, outbox_mail

MAX_LISTED_LEADS = 100
MAX_DIGEST_ALERTS = 10_000
BACKLOG_INTERVAL_S = 3600.0
MAX_CLOCK_ERROR_S = 3600.0
_SEND_ALONE = update(outbox_mail).where(UNGROUPED).values(digest_id=outbox_mail.c.id)


class DigestLead(NamedTuple):
    """The fields of a lead that mail templates use."""

    id: int
    email: str
    f_name: str
    l_name: str
    CV_name: str
    created_at: datetime


def build_digests(connection: Connection, *, interval_s: float) -> None:
    """Group pending alerts into a digest for each attorney who had none in the last `interval_s` seconds.

    While a mail to an attorney is still queued, the next digest follows after an hour, so that a relay outage does not
    end with one mail for each interval. Without an interval, each alert is sent on its own.
    """
    if not interval_s:
        connection.execute(_SEND_ALONE)
        return
    for address, has_backlog in connection.execute(_waiting(interval_s)).all():
        is_due = _is_over(max(interval_s, BACKLOG_INTERVAL_S) if has_backlog else interval_s)
        if insert_if_absent(connection, alerted_address, {"address": address}, replacing=is_due):
            _build_digest(connection, address)


@cache
def _waiting(interval_s: float) -> Select[Any]:
    """Select the attorneys with pending alerts, and whether an alert to them is still queued."""
    queued = outbox_mail.alias()
    backlog = select(queued.c.recipient).where(DELIVERABLE, queued.c.kind == "alert")
    return (
        select(outbox_mail.c.recipient, outbox_mail.c.recipient.in_(backlog))
        .outerjoin(alerted_address, alerted_address.c.address == outbox_mail.c.recipient)
        .where(UNGROUPED, or_(alerted_address.c.address.is_(None), _is_over(interval_s)))
        .distinct()
        .order_by(outbox_mail.c.recipient)
    )


@cache
def _is_over(interval_s: float) -> ColumnElement[bool]:
    # a time far in the future comes from a clock that was wrong
    was_wrong = alerted_address.c.alerted_at > Now(plus_s=MAX_CLOCK_ERROR_S)
    return or_(alerted_address.c.alerted_at <= Now(plus_s=-interval_s), was_wrong)


def _build_digest(connection: Connection, address: str) -> None:
    """Group an attorney's alerts, except those locked by another transaction, such as an erasure."""
    free = (
        select(outbox_mail.c.id)
        .where(UNGROUPED, outbox_mail.c.recipient == address)
        .order_by(outbox_mail.c.id)
        .limit(MAX_DIGEST_ALERTS)
        .with_for_update(skip_locked=True)
    )
    if ids := connection.scalars(free).all():
        # the time after which the mail fails starts now
        values = {"digest_id": ids[0], "queued_since": Now(), "next_attempt_at": Now()}
        # one statement with a CTE scans the whole table in PostgreSQL 18
        connection.execute(update(outbox_mail).where(is_among(outbox_mail.c.id, ids)).values(values))


def reported_leads(connection: Connection, mails: Sequence[int]) -> dict[int, tuple[list[DigestLead], int]]:
    """Return for each mail its first MAX_LISTED_LEADS leads and the number of all."""
    found: dict[int, tuple[list[DigestLead], int]] = {}
    for mail, count, *fields in connection.execute(_reported_leads(), {"mails": mails, "most": MAX_LISTED_LEADS}):
        found.setdefault(mail, ([], count))[0].append(DigestLead(*fields))
    return found


@cache
def _reported_leads() -> Select[Any]:
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
        select(numbered.c.mail, numbered.c.count, *(lead.c[name] for name in DigestLead._fields))
        .join(lead, lead.c.id == numbered.c.lead_id)
        .where(numbered.c.number <= bindparam("most"))
        .order_by(numbered.c.mail, numbered.c.number)
    )

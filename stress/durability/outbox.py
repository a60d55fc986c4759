"""Inspection of the outbox, and shortcuts that make deferred mails due."""

import time
from collections.abc import Callable, Sequence

from sqlalchemy import RowMapping, select, update

from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import lead, outbox_mail
from intake.mail.outbox import LEASE_S

POLL_S = 0.3
MAX_LEASE_AGE_S = 3.0  # with a working relay and database, a mail is sent and recorded in less


def mails(database: Database) -> Sequence[RowMapping]:
    """Return every mail with the email address of its lead."""
    query = select(outbox_mail, lead.c.email).join(lead).order_by(outbox_mail.c.id)
    return database.read(lambda connection: connection.execute(query).mappings().all())


def settle(
    database: Database,
    *,
    within_s: float,
    waits_for_leases: bool,
    which: Callable[[RowMapping], bool] = lambda _mail: True,
) -> Sequence[RowMapping]:
    """Wait until none of `which` is pending, or time is up, and return every mail; deferred mails are made due.

    Leases of killed workers expire by themselves with `waits_for_leases`; otherwise they are ended here.
    """
    began = time.monotonic()
    while True:
        found = mails(database)
        is_settled = not any(mail["state"] == "queued" and which(mail) for mail in found)
        waited_s = time.monotonic() - began
        if is_settled or waited_s > within_s:
            return found
        _make_due(database)
        if not waits_for_leases and waited_s > MAX_LEASE_AGE_S:
            _end_leases(database)
        time.sleep(POLL_S)


def _make_due(database: Database) -> None:
    is_deferred = (
        outbox_mail.c.state == "queued",
        outbox_mail.c.claimed_until.is_(None),
        outbox_mail.c.next_attempt_at > Now(),
    )
    due = update(outbox_mail).where(*is_deferred).values(next_attempt_at=Now())
    database.write(lambda connection: connection.execute(due))


def _end_leases(database: Database) -> None:
    """End the leases of killed workers: a running worker finishes a mail sooner."""
    is_abandoned = outbox_mail.c.claimed_until <= Now(plus_s=LEASE_S - MAX_LEASE_AGE_S)
    ended = (
        update(outbox_mail).where(outbox_mail.c.state == "queued", is_abandoned).values(claimed_until=Now(plus_s=-1.0))
    )
    database.write(lambda connection: connection.execute(ended))

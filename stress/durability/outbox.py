"""The outbox, as the proofs look into it and hurry it."""

import time
from collections.abc import Callable, Sequence

from sqlalchemy import RowMapping, select, update

from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import lead, outbox_mail
from intake.mail.outbox import LEASE_S

LOOK_EVERY_S = 0.3
HELD_WITHOUT_CAUSE_S = 3.0  # a relay that is well takes a mail in less, and a database that is there its result


def mails(database: Database) -> Sequence[RowMapping]:
    """Return every mail, with the address of the lead that it is owed for."""
    query = select(outbox_mail, lead.c.email).join(lead).order_by(outbox_mail.c.id)
    return database.read(lambda connection: connection.execute(query).mappings().all())


def settle(
    database: Database,
    *,
    within_s: float,
    waits_for_leases: bool,
    which: Callable[[RowMapping], bool] = lambda _mail: True,
) -> Sequence[RowMapping]:
    """Wait until none of `which` is owed, or time is up, and return every mail; what is to be tried again is made due.

    The leases of killed workers run on where one waits for them, and are ended where one does not.
    """
    began = time.monotonic()
    while True:
        found = mails(database)
        is_settled = not any(mail["state"] == "queued" and which(mail) for mail in found)
        waited_s = time.monotonic() - began
        if is_settled or waited_s > within_s:
            return found
        _make_due(database)
        if not waits_for_leases and waited_s > HELD_WITHOUT_CAUSE_S:
            _end_leases(database)
        time.sleep(LOOK_EVERY_S)


def _make_due(database: Database) -> None:
    is_waiting = (
        outbox_mail.c.state == "queued",
        outbox_mail.c.claimed_until.is_(None),
        outbox_mail.c.next_attempt_at > Now(),
    )
    due = update(outbox_mail).where(*is_waiting).values(next_attempt_at=Now())
    database.write(lambda connection: connection.execute(due))


def _end_leases(database: Database) -> None:
    """End the leases of the dead: the living hold no mail for so long."""
    is_left = outbox_mail.c.claimed_until <= Now(plus_s=LEASE_S - HELD_WITHOUT_CAUSE_S)
    ended = update(outbox_mail).where(outbox_mail.c.state == "queued", is_left).values(claimed_until=Now(plus_s=-1.0))
    database.write(lambda connection: connection.execute(ended))

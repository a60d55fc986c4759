"""What mail is owed: written with the lead, claimed for sending, and what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex

from sqlalchemy import Connection, insert, select, update

from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import lead, outbox_mail

LEASE_S = 300.0  # longer than every time limit of one delivery together; after a crash the mail is tried again then


@dataclass(frozen=True)
class OwedMail:
    """A claimed mail, with what its text may need of the lead; `age_s` is the time since it was owed."""

    id: int
    kind: str
    recipient: str
    message_id: str
    owed_at: datetime
    age_s: float
    attempts: int
    lead_id: int
    lead_email: str
    lead_f_name: str
    lead_l_name: str
    lead_cv_name: str
    lead_created_at: datetime


def owe(connection: Connection, *, lead_id: int, prospect: str, attorneys: Iterable[str], domain: str) -> None:
    """Write down the confirmation that is owed to the prospect and the alert owed to each attorney.

    A Message-ID (in `domain`) is given out here, so that every attempt carries the same one.
    """
    owed = [("confirmation", prospect), *(("alert", address) for address in attorneys)]
    connection.execute(
        insert(outbox_mail),
        [
            {"lead_id": lead_id, "kind": kind, "recipient": to, "message_id": f"<{token_hex(16)}@{domain}>"}
            for kind, to in owed
        ],
    )


def claim(database: Database) -> OwedMail | None:
    """Take the mail that is due the longest; nobody else gets it for LEASE_S seconds. None: no mail is due."""
    due = (
        select(outbox_mail.c.id)
        .where(outbox_mail.c.state == "owed", outbox_mail.c.next_attempt_at <= Now())
        .order_by(outbox_mail.c.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    take = (
        update(outbox_mail)
        .where(outbox_mail.c.id == due.scalar_subquery())
        .values(next_attempt_at=Now(plus_s=LEASE_S), attempts=outbox_mail.c.attempts + 1)
        .returning(outbox_mail.c.id)
    )

    def work(connection: Connection) -> OwedMail | None:
        mail_id = connection.execute(take).scalar()
        return None if mail_id is None else _read(connection, mail_id)

    return database.write(work)


def record_sent(database: Database, mail: OwedMail) -> None:
    """Write down that the mail was handed over."""
    _record(database, mail, state="sent", sent_at=Now(), last_error=None)


def record_failure(database: Database, mail: OwedMail, *, reason: str, delay_s: float | None) -> None:
    """Write down why the mail was not handed over; it is due again in `delay_s` seconds, or dead if None."""
    if delay_s is None:
        _record(database, mail, state="dead", last_error=reason)
    else:
        _record(database, mail, next_attempt_at=Now(plus_s=delay_s), last_error=reason)


def _record(database: Database, mail: OwedMail, **values: object) -> None:
    # counts only while the claim stands: whoever claimed it later counts the attempts further
    is_ours = (outbox_mail.c.id == mail.id, outbox_mail.c.attempts == mail.attempts, outbox_mail.c.state == "owed")
    result = update(outbox_mail).where(*is_ours).values(**values)
    database.write(lambda connection: connection.execute(result))


def _read(connection: Connection, mail_id: int) -> OwedMail:
    query = (
        select(outbox_mail, lead, Now().label("now"))
        .join(lead, lead.c.id == outbox_mail.c.lead_id)
        .where(outbox_mail.c.id == mail_id)
    )
    row = connection.execute(query).mappings().one()
    return OwedMail(
        id=mail_id,
        kind=row[outbox_mail.c.kind],
        recipient=row[outbox_mail.c.recipient],
        message_id=row[outbox_mail.c.message_id],
        owed_at=row[outbox_mail.c.created_at],
        age_s=(row["now"] - row[outbox_mail.c.created_at]).total_seconds(),
        attempts=row[outbox_mail.c.attempts],
        lead_id=row[lead.c.id],
        lead_email=row[lead.c.email],
        lead_f_name=row[lead.c.f_name],
        lead_l_name=row[lead.c.l_name],
        lead_cv_name=row[lead.c["CV_name"]],
        lead_created_at=row[lead.c.created_at],
    )

"""What mail is owed: written with the lead, claimed for sending, and what came of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from secrets import token_hex

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Update,
    and_,
    bindparam,
    case,
    delete,
    exists,
    insert,
    not_,
    null,
    select,
    update,
)

from intake.database import Database, execute_with_next, insertion
from intake.database.clock import Now
from intake.database.schema import IS_QUEUED, SETTLED, confirmed_mailbox, outbox_mail
from intake.mail import confirmation_caps, digests

PRUNED_AT_ONCE = 1_000
LEASE_S = 60.0  # renewed while a worker holds the mail; after a crash, the mail is free again then

# statements that many a mail needs are built once: building one takes as long as running it
_DUE = (
    select(outbox_mail.c.id)
    .where(IS_QUEUED, confirmation_caps.is_due())
    .order_by(outbox_mail.c.next_attempt_at)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
    .cte("due")
    .prefix_with("MATERIALIZED", dialect="postgresql")  # a subquery can run again for each row, past its limit
)
_HAD_ONE = "its mailbox had a confirmation within INTAKE_CONFIRMATION_INTERVAL"
_OWE_ALERT = insert(outbox_mail).values(kind="alert").inline()
_IS_CONFIRMED = exists().where(confirmed_mailbox.c.lead_id == bindparam("lead", type_=Integer))
_OWE_CONFIRMATION = (
    insert(outbox_mail)
    .values(
        kind="confirmation",
        state=case((_IS_CONFIRMED, "queued"), else_="suppressed"),
        last_error=case((_IS_CONFIRMED, null()), else_="suppressed: " + _HAD_ONE),
    )
    .inline()
)
_TAKE = (
    update(outbox_mail)
    .where(outbox_mail.c.id.in_(select(_DUE.c.id)))
    .values(
        claim=bindparam("token"),
        claimed_by=bindparam("owner"),
        claimed_until=Now(plus_s=LEASE_S),
        attempts=outbox_mail.c.attempts + 1,
    )
    .returning(outbox_mail.c.id)
)
_TAKEN = (
    select(outbox_mail, Now().label("now"))
    .where(outbox_mail.c.id.in_(bindparam("taken", expanding=True)))
    .order_by(outbox_mail.c.id)
)
_HELD = and_(
    outbox_mail.c.id == bindparam("mail"), outbox_mail.c.claim == bindparam("token"), outbox_mail.c.state == "queued"
)
_END = update(outbox_mail).where(_HELD).values(claim=None, claimed_until=None)
_SENT = {"state": "sent", "sent_at": Now(), "last_error": None}
_END_SENT = _END.values(_SENT)


@dataclass(frozen=True)
class Recipient:
    """Whom a confirmation is for: an address, its mailbox, and the seconds within which that gets no second one."""

    address: str
    mailbox_key: str
    interval_s: float


@dataclass(frozen=True)
class OutboxMessage:
    """A claimed mail; `age_s` is the time it has been owed.

    `claim` is the token of this claim: what its holder writes back counts only while it stands. An alert may be a
    digest: it tells of `lead_count` leads, of which `leads` are the first MAX_TOLD, its own at the head.
    """

    id: int
    claim: str
    kind: str
    recipient: str
    message_id: str
    created_at: datetime
    age_s: float
    attempts: int
    leads: tuple[digests.DigestLead, ...]
    lead_count: int

    @property
    def lead_id(self) -> int:
        """The lead that the mail is owed for, a digest's first."""
        return self.leads[0].id


def enqueue(
    connection: Connection, *, lead_id: int, prospect: Recipient, attorneys: Iterable[str], domain: str
) -> None:
    """Write down the confirmation that is owed to the prospect and the alert owed to each attorney.

    A confirmation is suppressed where its mailbox had one within the prospect's interval: decided here and not when it
    is sent, since a mail's own retry would suppress it. A Message-ID (in `domain`) is given out here, so that every
    attempt carries the same one.
    """
    confirmed = {"mailbox_key": prospect.mailbox_key, "lead_id": lead_id}
    confirm = insertion(connection, confirmed_mailbox, _is_due(prospect.interval_s))
    execute_with_next(connection, confirm, confirmed)
    recipients = prospect.address, *attorneys
    mails = [{"lead_id": lead_id, "recipient": one, "message_id": _message_id(domain)} for one in recipients]
    counted_for = {"capped_domain": confirmation_caps.capped_domain(prospect.mailbox_key)}
    execute_with_next(connection, _OWE_CONFIRMATION, {**mails[0], **counted_for, "lead": lead_id})
    if alerts := mails[1:]:
        execute_with_next(connection, _OWE_ALERT, alerts)


@cache
def _is_due(interval_s: float) -> ColumnElement[bool]:
    return confirmed_mailbox.c.confirmed_at <= Now(plus_s=-interval_s)


def _message_id(domain: str) -> str:
    # the standard library's comes from a generator that can be seeded, and then repeats
    return f"<{token_hex(16)}@{domain}>"


def claim(
    database: Database,
    *,
    owner: str,
    limit: int,
    alert_interval_s: float,
    confirmations_per_hour: int = 0,
    note_held: Callable[[Counter[str]], None] | None = None,
) -> list[OutboxMessage]:
    """Take up to `limit` mails that are due, the longest due first; nobody else gets them for LEASE_S seconds.

    Of alerts, an attorney gets one in `alert_interval_s` seconds: those that came in meanwhile are gathered into the
    next. Confirmations over a cap are held (0: there are no caps), and `note_held` is given how many, by cap.
    """
    token = token_hex(16)

    def work(connection: Connection) -> tuple[list[OutboxMessage], Counter[str]]:
        digests.build_digests(connection, interval_s=alert_interval_s)
        claimed = {"token": token, "owner": owner}
        taken, held = _take(connection, claimed, limit=limit, per_hour=confirmations_per_hour)
        return _read(connection, taken, token) if taken else [], held

    mails, held = database.write(work)
    if held and note_held:
        note_held(held)
    return mails


def _take(
    connection: Connection, claimed: Mapping[str, object], *, limit: int, per_hour: int
) -> tuple[list[int], Counter[str]]:
    taken: list[int] = []
    held: Counter[str] = Counter()
    for _ in range(2):  # a second time for the mails behind those that are held
        found = list(connection.scalars(_TAKE, {**claimed, "most": limit - len(taken)}))
        newly_held: Counter[str] = Counter()
        if found and per_hour:
            found, newly_held = confirmation_caps.admit(connection, found, per_hour=per_hour)
        taken, held = taken + found, held + newly_held
        if not newly_held:
            break
    return taken, held


def extend_lease(database: Database, mails: Iterable[OutboxMessage]) -> None:
    """Hold these mails for LEASE_S seconds from now on, those of them whose claim still stands."""
    longer = update(outbox_mail).where(_claimed(mails)).values(claimed_until=Now(plus_s=LEASE_S))
    database.write(lambda connection: connection.execute(longer))


def release(database: Database, mails: Iterable[OutboxMessage]) -> None:
    """Let go of mails that were not tried: they are due as they were, and no attempt is counted."""
    free = {"claim": None, "claimed_by": None, "claimed_until": None, "attempts": outbox_mail.c.attempts - 1}
    database.write(lambda connection: connection.execute(update(outbox_mail).where(_claimed(mails)).values(free)))


def record_sent(database: Database, mail: OutboxMessage) -> bool:
    """Write down that the mail was handed over; False: the claim stands no more, and nothing was written."""
    return _record(database, mail, _END_SENT, _SENT)


def record_failure(database: Database, mail: OutboxMessage, *, reason: str, delay_s: float | None) -> bool:
    """Write down why the mail was not handed over; it is due again in `delay_s` seconds, or dead if None.

    False: the claim stands no more, and nothing was written.
    """
    due: dict[str, object] = {"next_attempt_at": Now(plus_s=delay_s)} if delay_s is not None else {"state": "failed"}
    values = {**due, "last_error": reason}
    return _record(database, mail, _END.values(values), values)


def _record(database: Database, mail: OutboxMessage, end: Update, values: Mapping[str, object]) -> bool:
    def work(connection: Connection) -> bool:
        if connection.execute(end, {"mail": mail.id, "token": mail.claim}).rowcount == 0:
            return False
        if mail.lead_count > 1 and "state" in values:
            connection.execute(digests.settle(mail.id, values))
        if values.get("state") == "failed" and mail.kind == "confirmation":  # its mailbox had none after all
            connection.execute(delete(confirmed_mailbox).where(confirmed_mailbox.c.lead_id == mail.lead_id))
        return True

    return database.write_grouped(work)


def _claimed(mails: Iterable[OutboxMessage]) -> ColumnElement[bool]:
    held = list(mails)
    return and_(
        outbox_mail.c.id.in_([mail.id for mail in held]),
        outbox_mail.c.claim.in_({mail.claim for mail in held}),
        outbox_mail.c.state == "queued",
    )


def prune(database: Database, *, age_s: float) -> Iterator[int]:
    """Forget mails older than `age_s` seconds that were sent or suppressed, and yield the number of each batch's."""
    is_old = outbox_mail.c.created_at <= Now(plus_s=-age_s)
    old = select(outbox_mail.c.id).where(SETTLED, is_old, not_(confirmation_caps.is_counted())).limit(PRUNED_AT_ONCE)
    forget = delete(outbox_mail).where(outbox_mail.c.id.in_(old.scalar_subquery()))
    while count := database.write(lambda connection: connection.execute(forget).rowcount):
        yield count


def _read(connection: Connection, taken: Sequence[int], token: str) -> list[OutboxMessage]:
    rows = connection.execute(_TAKEN, {"taken": taken}).mappings().all()
    told = digests.told_leads(connection, taken)
    return [
        OutboxMessage(
            id=row["id"],
            claim=token,
            kind=row["kind"],
            recipient=row["recipient"],
            message_id=row["message_id"],
            created_at=row["created_at"],
            age_s=(row["now"] - row["queued_since"]).total_seconds(),
            attempts=row["attempts"],
            leads=told[row["id"]][0],
            lead_count=told[row["id"]][1],
        )
        for row in rows
    ]

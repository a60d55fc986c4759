"""The outbox: mails are queued with their lead, claimed for delivery, and their results recorded."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
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
    not_,
    null,
    select,
    update,
)

from intake.database import Database, insert_if_absent
from intake.database.clock import Now
from intake.database.ids import is_among, unlocked
from intake.database.lead_rows import IsWritten, LeadTable, Rows
from intake.database.schema import SETTLED, confirmed_mailbox, lead, outbox_mail
from intake.mail import confirmation_caps, digests

PRUNE_BATCH = 1_000
LEASE_S = 60.0  # extended while a worker has the mail; after a crash, others can claim it then

# frequent statements are built once: building one takes as long as running it
_DUE = unlocked(confirmation_caps.due().limit(bindparam("most", type_=Integer)))
RECENTLY_CONFIRMED = {
    "state": "suppressed",
    "last_error": "suppressed: its mailbox had a confirmation within INTAKE_CONFIRMATION_INTERVAL",
}
_ALERTS = LeadTable(outbox_mail, {"kind": "alert"})
_IS_CONFIRMED = IsWritten(confirmed_mailbox)
_CONFIRMATION = LeadTable(
    outbox_mail,
    {
        "kind": "confirmation",
        "state": case((_IS_CONFIRMED, "queued"), else_=RECENTLY_CONFIRMED["state"]),
        "last_error": case((_IS_CONFIRMED, null()), else_=RECENTLY_CONFIRMED["last_error"]),
    },
)
_SUSPECT = {"state": "suppressed", "last_error": "suppressed: the lead is suspect"}
_SUSPECT_CONFIRMATION = LeadTable(outbox_mail, {"kind": "confirmation", **_SUSPECT})
_SUSPECT_ALERTS = LeadTable(outbox_mail, {"kind": "alert", **_SUSPECT})
_QUEUED = {"state": "queued", "last_error": None, "next_attempt_at": Now(), "queued_since": Now()}
_CLAIM = (
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
_CLAIMED_COLUMNS = ("id", "claim", "kind", "recipient", "message_id", "created_at", "queued_since", "attempts")
_CLAIMED_MAILS = (
    select(*(outbox_mail.c[name] for name in _CLAIMED_COLUMNS), Now().label("claimed_at"), lead.c.language)
    .join(lead, lead.c.id == outbox_mail.c.lead_id)
    .where(outbox_mail.c.id.in_(bindparam("claimed", expanding=True)))
    .order_by(outbox_mail.c.id)
)
_IS_CLAIMED = and_(
    outbox_mail.c.id == bindparam("mail"), outbox_mail.c.claim == bindparam("token"), outbox_mail.c.state == "queued"
)
_END = update(outbox_mail).where(_IS_CLAIMED).values(claim=None, claimed_until=None)
_SENT = {"state": "sent", "sent_at": Now(), "last_error": None}
_END_SENT = _END.values(_SENT)


@dataclass(frozen=True)
class Mailbox:
    """The mailbox of a confirmation: its key, and the minimum seconds between two confirmations to it."""

    key: str
    interval_s: float


@dataclass(frozen=True)
class OutboxMessage:
    """A claimed mail.

    Results count only while `claim` is the mail's current token. An alert may be a digest of `lead_count` leads:
    `leads` are the first MAX_LISTED_LEADS, beginning with its own.
    """

    id: int
    claim: str
    kind: str
    recipient: str
    message_id: str
    created_at: datetime
    queued_since: datetime
    attempts: int
    claimed_at: datetime
    leads: Sequence[digests.DigestLead]
    lead_count: int
    language: str | None = None  # of the form

    @property
    def age_s(self) -> float:
        """The seconds from when the mail was queued to its claim."""
        return (self.claimed_at - self.queued_since).total_seconds()

    @property
    def lead_id(self) -> int:
        """The lead of the mail; the first one of a digest."""
        return self.leads[0].id


def rows(
    *, prospect: str, mailbox: Mailbox, attorneys: Iterable[str], domain: str, is_suspect: bool = False
) -> list[Rows]:
    """Return the rows that queue a confirmation to the prospect and an alert to each attorney.

    The confirmation is suppressed if its mailbox had one within its interval. This is decided now: at
    delivery, a retry would suppress itself. Every attempt uses the Message-ID (in `domain`) that is assigned here.
    All mails of a suspect lead are suppressed, and its mailbox counts as not confirmed.
    """
    recipients = (prospect, *attorneys)
    confirmation, *alerts = ({"recipient": one, "message_id": _message_id(domain)} for one in recipients)
    cap = confirmation_caps.capped_domain(mailbox.key)
    if is_suspect:
        return [(_SUSPECT_CONFIRMATION, [{**confirmation, "capped_domain": cap}]), (_SUSPECT_ALERTS, alerts)]
    return [
        (_confirmed(mailbox.interval_s), [{"mailbox_key": mailbox.key}]),
        (_CONFIRMATION, [{**confirmation, "capped_domain": cap}]),
        (_ALERTS, alerts),
    ]


def lock_mails(connection: Connection, lead_ids: Sequence[int], *, skip_locked: bool = False) -> None:
    """Lock the mails of leads. Everyone who locks both locks mails, then leads, each by id: others would deadlock."""
    mails = select(outbox_mail.c.id).where(is_among(outbox_mail.c.lead_id, lead_ids)).order_by(outbox_mail.c.id)
    connection.execute(mails.with_for_update(skip_locked=skip_locked))


def queue_suppressed(connection: Connection, lead_id: int, mailbox: Mailbox) -> None:
    """Queue the suppressed mails of a lead that is no longer suspect, and is locked.

    The confirmation stays suppressed if its mailbox had one within its interval.
    """
    is_of_lead = outbox_mail.c.lead_id == lead_id, outbox_mail.c.state == "suppressed"
    mails = select(outbox_mail.c.id, outbox_mail.c.kind).where(*is_of_lead).order_by(outbox_mail.c.id)
    for mail_id, kind in connection.execute(mails.with_for_update()).all():
        is_queued = kind != "confirmation" or claim_mailbox(connection, lead_id, mailbox)
        values = _QUEUED if is_queued else RECENTLY_CONFIRMED
        connection.execute(update(outbox_mail).where(outbox_mail.c.id == mail_id).values(values))


def claim_mailbox(connection: Connection, lead_id: int, mailbox: Mailbox) -> bool:
    """Record a lead's confirmation to a mailbox; return False if it had one for another lead within its interval."""
    row = {"mailbox_key": mailbox.key, "lead_id": lead_id}
    if insert_if_absent(connection, confirmed_mailbox, row, replacing=_is_over(mailbox.interval_s)):
        return True
    last = select(confirmed_mailbox.c.lead_id).where(confirmed_mailbox.c.mailbox_key == mailbox.key)
    return connection.execute(last).scalar() == lead_id


@cache
def _confirmed(interval_s: float) -> LeadTable:
    return LeadTable(confirmed_mailbox, replacing=_is_over(interval_s))


@cache
def _is_over(interval_s: float) -> ColumnElement[bool]:
    return confirmed_mailbox.c.confirmed_at <= Now(plus_s=-interval_s)


def _message_id(domain: str) -> str:
    # the standard library uses a random generator that repeats if it is seeded
    return f"<{token_hex(16)}@{domain}>"


def claim(
    database: Database,
    *,
    owner: str,
    limit: int,
    alert_interval_s: float,
    confirmations_per_hour: int = 0,
    on_held: Callable[[Counter[str]], None] | None = None,
) -> list[OutboxMessage]:
    """Claim up to `limit` due mails for LEASE_S seconds, those due the longest first.

    An attorney gets one alert in `alert_interval_s` seconds; the next one is a digest. Confirmations over a cap are
    held (0: no caps), and `on_held` is called with their numbers by cap: claim again for due mails behind them.
    """
    token = token_hex(16)

    def work(connection: Connection) -> tuple[list[OutboxMessage], Counter[str]]:
        digests.build_digests(connection, interval_s=alert_interval_s)
        claimed: Sequence[int] = connection.scalars(_CLAIM, {"token": token, "owner": owner, "most": limit}).all()
        held = Counter[str]()
        if claimed and confirmations_per_hour:
            claimed, held = confirmation_caps.admit(connection, claimed, per_hour=confirmations_per_hour)
        return _read(connection, claimed) if claimed else [], held

    mails, held = database.write(work)
    if held and on_held:
        on_held(held)
    return mails


def extend_leases(database: Database, mails: Sequence[OutboxMessage]) -> Set[int]:
    """Extend the leases of mails that are still claimed to LEASE_S seconds from now, and return their ids."""
    longer = update(outbox_mail).where(_claimed(mails)).values(claimed_until=Now(plus_s=LEASE_S))
    still_claimed = longer.returning(outbox_mail.c.id)
    return database.write(lambda connection: set(connection.scalars(still_claimed))) if mails else set()


def release(database: Database, mails: Iterable[OutboxMessage]) -> None:
    """Release claimed mails without counting an attempt."""
    unclaim = update(outbox_mail).where(_claimed(mails)).values(confirmation_caps.UNCLAIMED)
    database.write(lambda connection: connection.execute(unclaim))


def record_sent(database: Database, mail: OutboxMessage) -> bool:
    """Record that the mail was sent; return False and record nothing if the claim is outdated."""
    return _record(database, mail, _END_SENT, _SENT)


def record_failure(database: Database, mail: OutboxMessage, *, reason: str, delay_s: float | None) -> bool:
    """Record why the mail was not sent; it is due again in `delay_s` seconds, or has failed if None.

    Return False and record nothing if the claim is outdated.
    """
    due: dict[str, object] = {"next_attempt_at": Now(plus_s=delay_s)} if delay_s is not None else {"state": "failed"}
    values = {**due, "last_error": reason}
    return _record(database, mail, _END.values(values), values)


def _record(database: Database, mail: OutboxMessage, end: Update, values: Mapping[str, object]) -> bool:
    def work(connection: Connection) -> bool:
        if connection.execute(end, {"mail": mail.id, "token": mail.claim}).rowcount == 0:
            return False
        if mail.lead_count > 1 and "state" in values:
            others = outbox_mail.c.digest_id == mail.id, outbox_mail.c.id != mail.id, outbox_mail.c.state == "queued"
            connection.execute(update(outbox_mail).where(*others).values(dict(values)))
        if values.get("state") == "failed" and mail.kind == "confirmation":  # its mailbox had no confirmation after all
            connection.execute(delete(confirmed_mailbox).where(confirmed_mailbox.c.lead_id == mail.lead_id))
        return True

    return database.write_grouped(work)


def _claimed(mails: Iterable[OutboxMessage]) -> ColumnElement[bool]:
    claimed = list(mails)
    return and_(
        outbox_mail.c.id.in_([mail.id for mail in claimed]),
        outbox_mail.c.claim.in_({mail.claim for mail in claimed}),
        outbox_mail.c.state == "queued",
    )


def prune(database: Database, *, age_s: float) -> Iterator[int]:
    """Delete sent and suppressed mails older than `age_s` seconds; yield the number of each batch."""
    is_old = outbox_mail.c.created_at <= Now(plus_s=-age_s)
    old = select(outbox_mail.c.id).where(SETTLED, is_old, not_(confirmation_caps.is_counted())).limit(PRUNE_BATCH)
    prune_batch = delete(outbox_mail).where(outbox_mail.c.id.in_(old.scalar_subquery()))
    while count := database.write(lambda connection: connection.execute(prune_batch).rowcount):
        yield count


def _read(connection: Connection, claimed: Sequence[int]) -> list[OutboxMessage]:
    rows = connection.execute(_CLAIMED_MAILS, {"claimed": claimed}).mappings()
    leads = digests.reported_leads(connection, claimed)
    return [OutboxMessage(**row, leads=leads[row["id"]][0], lead_count=leads[row["id"]][1]) for row in rows]

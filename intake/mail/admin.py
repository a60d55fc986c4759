"""Mail administration: lists, counts and retries."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy import Connection, Row, TextClause, case, func, or_, select, update

from intake.audit import Action, Actor, record
from intake.database import Database
from intake.database.clock import Now
from intake.database.ids import page_and_next
from intake.database.schema import DELIVERABLE, UNSENT, outbox_mail
from intake.mail import outbox
from intake.mail.outbox import Mailbox
from intake.request_models import MAX_ID, Number, PageQuery

_FORMER_STATES = {"owed": "queued", "dead": "failed"}  # accepted until 1.0
_State = Annotated[
    Literal["queued", "sent", "failed", "suppressed"],
    BeforeValidator(lambda state: _FORMER_STATES.get(state, state)),
]


class MailQuery(PageQuery):
    """The mail list's filters."""

    state: list[_State] = Field(default=[], description="A state; may repeat.")
    kind: list[Literal["confirmation", "alert"]] = Field(default=[], description="A kind; may repeat.")
    lead: Annotated[Number, Field(ge=1, le=MAX_ID)] | None = Field(default=None, description="Mails for this lead.")


class MailModel(BaseModel):
    """A mail in any state."""

    id: int
    lead_id: int
    kind: str
    recipient: str
    state: str
    attempts: int
    last_error: str | None
    next_attempt_at: datetime = Field(description="Time of the next attempt, while it is queued.")
    created_at: datetime
    sent_at: datetime | None
    message_id: str
    digest_id: int | None = Field(description="An alert's mail: itself, or the digest that includes it.")


def list_mails(database: Database, query: MailQuery) -> list[MailModel]:
    """Return a page of mails and the first of the next page. Raises DatabaseUnavailable."""
    statement = select(*(outbox_mail.c[name] for name in MailModel.model_fields))
    if query.state:
        statement = statement.where(outbox_mail.c.state.in_(query.state), *_narrowed(query.state))
    if query.kind:
        statement = statement.where(outbox_mail.c.kind.in_(query.kind))
    if query.lead is not None:
        statement = statement.where(outbox_mail.c.lead_id == query.lead)
    statement = page_and_next(statement, outbox_mail.c.id, query)
    rows = database.read(lambda connection: connection.execute(statement).mappings().all())
    return [MailModel(**row) for row in rows]


class UnsentMails(BaseModel):
    """Numbers of unsent mails."""

    queued: int = 0
    failed: int = 0


def count_unsent(database: Database) -> UnsentMails:
    """Count the queued and failed mails. Raises DatabaseUnavailable."""
    state = outbox_mail.c.state
    query = select(state, func.count()).where(UNSENT).group_by(state)
    return UnsentMails(**database.read(lambda connection: {str(name): n for name, n in connection.execute(query)}))


def oldest_s(database: Database) -> float:
    """Return the seconds since the oldest mail that could be delivered was queued, or 0. Raises DatabaseUnavailable.

    Mails that a cap holds, and alerts that wait for their digest, could not be.
    """
    query = select(func.min(outbox_mail.c.queued_since), Now()).where(DELIVERABLE)
    since, now = database.read(lambda connection: connection.execute(query).one())
    return max((now - since).total_seconds(), 0.0) if since else 0.0


def _narrowed(states: Sequence[str]) -> Sequence[TextClause]:
    """Return the condition of the partial index on unsent mails if it covers all the states."""
    return [UNSENT] if {"queued", "failed"}.issuperset(states) else []


def retry_mails(
    database: Database, ids: Sequence[int], *, mailbox_of: Callable[[str], Mailbox], actor: Actor
) -> list[str]:
    """Queue failed mails again, due now, audit each, and return a result for each id.

    The results are `revived`, `suppressed` (a confirmation whose mailbox had one meanwhile), `not_failed` (the mail is
    in another state) and `missing`. Attempts and the two days of retries start again. The alerts of a digest are queued
    with it; an alert without its digest joins another one. Raises DatabaseUnavailable.
    """
    digest = case((outbox_mail.c.digest_id.in_(ids), outbox_mail.c.digest_id), else_=None)
    chosen = or_(outbox_mail.c.id.in_(ids), outbox_mail.c.digest_id.in_(ids))
    revive = (
        update(outbox_mail)
        .where(chosen, outbox_mail.c.state == "failed")
        .values(state="queued", attempts=0, next_attempt_at=Now(), queued_since=Now(), digest_id=digest)
        .returning(outbox_mail.c.id, outbox_mail.c.lead_id, outbox_mail.c.kind, outbox_mail.c.recipient)
    )
    known = select(outbox_mail.c.id).where(outbox_mail.c.id.in_(ids))
    in_order = select(outbox_mail.c.id).where(chosen).order_by(outbox_mail.c.id).with_for_update()

    def work(connection: Connection) -> tuple[set[int], set[int], set[int]]:
        connection.execute(in_order)  # in the order in which an erasure locks them, to avoid deadlocks
        revived = sorted(connection.execute(revive).all())
        for row in revived:
            record(connection, Action.MAIL_RETRY, actor, lead_id=row.lead_id, detail=f"mail {row.id}")
        suppressed = _suppress_confirmed(connection, revived, mailbox_of)
        return {row.id for row in revived}, suppressed, set(connection.scalars(known))

    revived, suppressed, found = database.write(work)
    results = dict.fromkeys(found, "not_failed") | dict.fromkeys(revived, "revived")
    results |= dict.fromkeys(suppressed, "suppressed")
    return [results.get(one, "missing") for one in ids]


def _suppress_confirmed(
    connection: Connection, mails: Sequence[Row[Any]], mailbox_of: Callable[[str], Mailbox]
) -> set[int]:
    """Suppress the confirmations whose mailboxes had one meanwhile, and return their ids."""
    confirmations = [(mailbox_of(mail.recipient), mail) for mail in mails if mail.kind == "confirmation"]
    confirmations.sort(key=lambda one: (one[0].key, one[1].id))  # opposite orders deadlock
    late = {mail.id for mailbox, mail in confirmations if not outbox.claim_mailbox(connection, mail.lead_id, mailbox)}
    if late:
        connection.execute(update(outbox_mail).where(outbox_mail.c.id.in_(late)).values(outbox.RECENTLY_CONFIRMED))
    return late

"""Owed mail as it is looked at, and how what was given up is revived."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict, cast

from sqlalchemy import Connection, TextClause, case, func, or_, select, update

from intake.audit import Action, Actor, record
from intake.database import Database
from intake.database.clock import Now
from intake.database.ids import page_by_id
from intake.database.schema import UNSENT, outbox_mail

_COLUMNS = (
    outbox_mail.c.id,
    outbox_mail.c.lead_id,
    outbox_mail.c.kind,
    outbox_mail.c.recipient,
    outbox_mail.c.state,
    outbox_mail.c.attempts,
    outbox_mail.c.last_error,
    outbox_mail.c.next_attempt_at,
    outbox_mail.c.created_at,
    outbox_mail.c.sent_at,
    outbox_mail.c.message_id,
    outbox_mail.c.digest_id,
)


class Mail(TypedDict):
    """A mail, whatever became of it; `next_attempt_at` says something only while it is owed.

    An alert's `digest_id` names the mail that tells of it, where one does already.
    """

    id: int
    lead_id: int
    kind: str
    recipient: str
    state: str
    attempts: int
    last_error: str | None
    next_attempt_at: datetime
    created_at: datetime
    sent_at: datetime | None
    message_id: str
    digest_id: int | None


@dataclass(frozen=True, kw_only=True)
class MailFilter:
    """Which mails, by id; what is None or empty does not narrow. `after` is the id from which to go on."""

    states: Sequence[str] = ()
    kinds: Sequence[str] = ()
    lead_id: int | None = None
    after: int | None = None
    newest_first: bool = False


def list_mails(database: Database, wanted: MailFilter, *, limit: int) -> list[Mail]:
    """Return up to `limit` mails that match. Raises DatabaseUnavailable."""
    query = select(*_COLUMNS)
    if wanted.states:
        query = query.where(outbox_mail.c.state.in_(wanted.states), *_narrowed(wanted.states))
    if wanted.kinds:
        query = query.where(outbox_mail.c.kind.in_(wanted.kinds))
    if wanted.lead_id is not None:
        query = query.where(outbox_mail.c.lead_id == wanted.lead_id)
    query = page_by_id(query, outbox_mail.c.id, after=wanted.after, newest_first=wanted.newest_first, limit=limit)
    rows = database.read(lambda connection: connection.execute(query).mappings().all())
    return [cast("Mail", {str(name): value for name, value in row.items()}) for row in rows]


def count_unsent(database: Database) -> dict[str, int]:
    """Return how many mails are `owed` and how many `dead`. Raises DatabaseUnavailable."""
    state = outbox_mail.c.state
    query = select(state, func.count()).where(UNSENT).group_by(state)
    found = database.read(lambda connection: {str(name): number for name, number in connection.execute(query)})
    return {"owed": found.get("owed", 0), "dead": found.get("dead", 0)}


def _narrowed(states: Sequence[str]) -> Sequence[TextClause]:
    """Return the condition of the index on what is unsent, where all that is asked for is."""
    return [UNSENT] if {"owed", "dead"}.issuperset(states) else []


def retry_mails(database: Database, ids: Sequence[int], *, origin: Actor) -> list[str]:
    """Make dead mails owed again, due at once, record each, and return for each id what came of it.

    `revived`; `not_dead` where it is owed or was sent; `missing`. Attempts are counted on from none, and the two days
    after which a mail is given up begin anew. With a digest, all that it tells of is revived, and told of in it again;
    what is revived without its digest is told of in another. Raises DatabaseUnavailable.
    """
    digest = case((outbox_mail.c.digest_id.in_(ids), outbox_mail.c.digest_id), else_=None)
    chosen = or_(outbox_mail.c.id.in_(ids), outbox_mail.c.digest_id.in_(ids))
    revive = (
        update(outbox_mail)
        .where(chosen, outbox_mail.c.state == "dead")
        .values(state="owed", attempts=0, next_attempt_at=Now(), owed_since=Now(), digest_id=digest)
        .returning(outbox_mail.c.id, outbox_mail.c.lead_id)
    )
    known = select(outbox_mail.c.id).where(outbox_mail.c.id.in_(ids))
    in_order = select(outbox_mail.c.id).where(chosen).order_by(outbox_mail.c.id).with_for_update()

    def work(connection: Connection) -> tuple[set[int], set[int]]:
        connection.execute(in_order)  # as an erasure locks them: opposite orders deadlock
        revived = sorted(connection.execute(revive).all())
        for mail_id, lead_id in revived:
            record(connection, Action.MAIL_RETRY, origin, lead_id=lead_id, detail=f"mail {mail_id}")
        return {mail_id for mail_id, _ in revived}, set(connection.scalars(known))

    revived, found = database.write(work)
    return ["revived" if one in revived else "not_dead" if one in found else "missing" for one in ids]

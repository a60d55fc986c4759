"""What was changed: one lead's history, and the changes of many."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, null, select, tuple_

from intake.audit import Action
from intake.database import Database
from intake.database.schema import MOVED, audit, change, lead, lead_event, user_account
from intake.errors import ChangeNotFound, LeadNotFound

Event = TypedDict(
    "Event", {"at": datetime, "user": str, "from": str | None, "to": str, "change": UUID | None, "undoes": UUID | None}
)


class Undoing(TypedDict):
    """A change that undid another: its id, and how many leads it put back."""

    id: UUID
    count: int


Change = TypedDict(
    "Change",
    {
        "id": UUID,
        "at": datetime,
        "user": str,
        "from": str | None,
        "to": str | None,
        "undoes": UUID | None,
        "count": int,
        "undone_by": list[Undoing],
    },
)


@dataclass(frozen=True, kw_only=True)
class ChangeFilter:
    """Which changes; what is None does not narrow. `before` is the change before which to go on.

    `id_start` is the beginning of an id: 8 to 32 hexadecimal digits, with or without hyphens.
    """

    user_id: int | None = None
    id_start: str | None = None
    undos: bool = True
    before: UUID | None = None


def history(database: Database, lead_id: int) -> list[Event]:
    """Return what was changed of the lead, oldest first, and before that who created it by hand.

    Raises LeadNotFound or DatabaseUnavailable.
    """
    columns = lead_event.c.at, user_account.c.username, lead_event.c.from_state, lead_event.c.to_state
    query = (
        select(*columns, lead_event.c.change_id, change.c.undoes)
        .join_from(lead_event, user_account, user_account.c.id == lead_event.c.user_id)
        .join(change, change.c.id == lead_event.c.change_id, isouter=True)
        .where(lead_event.c.lead_id == lead_id)
        .order_by(lead_event.c.id)
    )

    def work(connection: Connection) -> list[Event]:
        if connection.execute(select(lead.c.id).where(lead.c.id == lead_id)).first() is None:
            raise LeadNotFound(f"there is no lead {lead_id}")
        created = connection.execute(creations().where(audit.c.lead_id == lead_id))
        rows = [*((*row[1:], None) for row in created), *connection.execute(query)]
        return [cast("Event", dict(zip(Event.__annotations__, row, strict=True))) for row in rows]

    return database.read(work)


def creations() -> Select[tuple[int, datetime, str, None, str, None]]:
    """Return the query for who created leads by hand: a lead's id, and its first event, which comes from no state."""
    event = audit.c.at, user_account.c.username.label("user"), null().label("from"), audit.c.detail.label("to")
    return (
        select(audit.c.lead_id, *event, null().label("change_id"))
        .join(user_account, user_account.c.id == audit.c.user_id)
        .where(audit.c.action == Action.LEAD_CREATION)
    )


def list_changes(database: Database, wanted: ChangeFilter, *, limit: int) -> list[Change]:
    """Return up to `limit` changes that moved leads, newest first.

    Raises ChangeNotFound or DatabaseUnavailable.
    """

    def work(connection: Connection) -> list[Change]:
        query = (
            select(change, user_account.c.username)
            .join(user_account, user_account.c.id == change.c.user_id)
            .where(MOVED, *_conditions(wanted))
            .order_by(change.c.at.desc(), change.c.id.desc())
            .limit(limit)
        )
        if wanted.before is not None:
            query = query.where(tuple_(change.c.at, change.c.id) < tuple_(*_place(connection, wanted.before)))
        rows = connection.execute(query).mappings().all()
        undoings = _undoings(connection, [row["id"] for row in rows])
        return [
            {
                "id": row["id"],
                "at": row["at"],
                "user": row["username"],
                "from": row["from_state"],
                "to": row["to_state"],
                "undoes": row["undoes"],
                "count": row["count"],
                "undone_by": undoings.get(row["id"], []),
            }
            for row in rows
        ]

    return database.read(work)


def _conditions(wanted: ChangeFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.user_id is not None:
        yield change.c.user_id == wanted.user_id
    if not wanted.undos:
        yield change.c.undoes.is_(None)
    if wanted.id_start is not None:
        digits = wanted.id_start.replace("-", "")
        yield change.c.id.between(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))


def _place(connection: Connection, change_id: UUID) -> tuple[datetime, UUID]:
    row = connection.execute(select(change.c.at, change.c.id).where(change.c.id == change_id)).first()
    if row is None:
        raise ChangeNotFound(f"there is no change {change_id}")
    return row.at, row.id


def _undoings(connection: Connection, undone: list[UUID]) -> dict[UUID, list[Undoing]]:
    columns = change.c.undoes, change.c.id, change.c.count
    query = select(*columns).where(change.c.undoes.in_(undone), MOVED).order_by(change.c.at)
    found: dict[UUID, list[Undoing]] = {}
    for original, number, count in connection.execute(query):
        found.setdefault(original, []).append({"id": number, "count": count})
    return found

"""History of one lead, and the list of bulk changes."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import ColumnElement, Connection, Select, null, select, tuple_

from intake.audit import Action
from intake.database import Database
from intake.database.schema import MOVED, audit, change, lead, lead_event, user_account
from intake.errors import ChangeNotFound, LeadNotFound
from intake.request_models import Number, RequestModel

FROM_TO = lead_event.c.from_state.label("from"), lead_event.c.to_state.label("to")

IdPrefix = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-?[0-9a-fA-F]){0,24}$")]


class ChangeQuery(RequestModel):
    """Filters and page of bulk changes."""

    limit: Annotated[Number, Field(ge=1, le=1000)] = Field(default=100, description="Page size.")
    before: UUID | None = Field(default=None, description="Continue before this change.")
    mine: bool = Field(default=False, description="Only the user's own changes.")
    undos: bool = Field(default=True, description="Include changes that undo another.")
    id: IdPrefix | None = Field(
        default=None, description="Only changes whose id has this prefix: at least 8 hexadecimal digits."
    )


class Undoing(BaseModel):
    """An undo of a change, and the number of leads it restored."""

    id: UUID
    count: int


class ChangeModel(BaseModel):
    """A bulk change, or an undo of one."""

    id: UUID
    at: datetime
    user: str
    from_: str | None = Field(alias="from", description="Required state; null for any.")
    to: str | None = Field(description="New state; null for an undo.")
    undoes: UUID | None
    count: int = Field(description="Number of leads changed.")
    undone_by: list[Undoing]


class EventModel(BaseModel):
    """One state change of one lead."""

    at: datetime
    user: str
    from_: str | None = Field(alias="from", description="Previous state; null if the lead was created manually.")
    to: str
    change: UUID | None = Field(description="Bulk change that includes it.")
    undoes: UUID | None = Field(description="Change that it undid.")


def history(database: Database, lead_id: int) -> list[EventModel]:
    """Return the lead's state changes, oldest first, after the creation if an attorney created it.

    Raises LeadNotFound or DatabaseUnavailable.
    """
    columns = lead_event.c.at, user_account.c.username.label("user"), *FROM_TO, lead_event.c.change_id.label("change")
    statement = (
        select(*columns, change.c.undoes)
        .join_from(lead_event, user_account, user_account.c.id == lead_event.c.user_id)
        .join(change, change.c.id == lead_event.c.change_id, isouter=True)
        .where(lead_event.c.lead_id == lead_id)
        .order_by(lead_event.c.id)
    )

    def work(connection: Connection) -> list[EventModel]:
        if connection.execute(select(lead.c.id).where(lead.c.id == lead_id)).first() is None:
            raise LeadNotFound(f"there is no lead {lead_id}")
        created = connection.execute(creations().where(audit.c.lead_id == lead_id)).mappings()
        changed = connection.execute(statement).mappings()
        return [
            *(EventModel(**row, change=None, undoes=None) for row in created),
            *(EventModel(**row) for row in changed),
        ]

    return database.read(work)


def creations() -> Select[tuple[int, datetime, str, None, str, None]]:
    """Return the query for manual creations: the lead's id, and an event without a previous state."""
    event = audit.c.at, user_account.c.username.label("user"), null().label("from"), audit.c.detail.label("to")
    return (
        select(audit.c.lead_id, *event, null().label("change_id"))
        .join(user_account, user_account.c.id == audit.c.user_id)
        .where(audit.c.action == Action.LEAD_CREATION)
    )


def list_changes(database: Database, query: ChangeQuery, *, user_id: int) -> list[ChangeModel]:
    """Return a page of non-empty changes, newest first, and the first change of the next page.

    `query.mine` refers to the user `user_id`. Raises ChangeNotFound or DatabaseUnavailable.
    """
    columns = change.c.id, change.c.at, user_account.c.username.label("user"), change.c.from_state.label("from")
    statement = (
        select(*columns, change.c.to_state.label("to"), change.c.undoes, change.c.count)
        .join(user_account, user_account.c.id == change.c.user_id)
        .where(MOVED, *_conditions(query, user_id))
        .order_by(change.c.at.desc(), change.c.id.desc())
        .limit(query.limit + 1)
    )

    def work(connection: Connection) -> list[ChangeModel]:
        page = statement
        if query.before is not None:
            page = page.where(tuple_(change.c.at, change.c.id) < tuple_(*_position(connection, query.before)))
        rows = connection.execute(page).mappings().all()
        undoings = _undoings(connection, [row["id"] for row in rows])
        return [ChangeModel(**row, undone_by=undoings.get(row["id"], [])) for row in rows]

    return database.read(work)


def _conditions(query: ChangeQuery, user_id: int) -> Iterator[ColumnElement[bool]]:
    if query.mine:
        yield change.c.user_id == user_id
    if not query.undos:
        yield change.c.undoes.is_(None)
    if query.id is not None:
        digits = query.id.replace("-", "")
        yield change.c.id.between(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))


def _position(connection: Connection, change_id: UUID) -> tuple[datetime, UUID]:
    row = connection.execute(select(change.c.at, change.c.id).where(change.c.id == change_id)).first()
    if row is None:
        raise ChangeNotFound(f"there is no change {change_id}")
    return row.at, row.id


def _undoings(connection: Connection, undone: list[UUID]) -> dict[UUID, list[Undoing]]:
    columns = change.c.undoes, change.c.id, change.c.count
    query = select(*columns).where(change.c.undoes.in_(undone), MOVED).order_by(change.c.at)
    found: dict[UUID, list[Undoing]] = {}
    for original, number, count in connection.execute(query):
        found.setdefault(original, []).append(Undoing(id=number, count=count))
    return found

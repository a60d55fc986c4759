"""Changes of many leads at once: each kept under an id of its own, and undone as one."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Connection, Select, Uuid, exists, insert, literal, select, update

from intake.database import Database, insert_if_absent
from intake.database.clock import Now
from intake.database.ids import is_among
from intake.database.schema import change, lead, lead_event, user_account
from intake.errors import ChangeByAnotherUser, ChangeNotFound, FieldError, ValidationError
from intake.leads.states import validate_states

MAX_LEADS = 10_000  # in one request, which is one transaction

T = TypeVar("T")


class OutcomeModel(BaseModel):
    """What came of one lead, and the state that it is in now."""

    id: int
    result: Literal["changed", "unchanged", "missing", "conflict", "undone", "already_undone", "moved"]
    state: str | None = Field(description="Null where there is no such lead.")


@dataclass(frozen=True, kw_only=True)
class Author:
    """Whose a change is, the id it is kept under, and whether it is only tried."""

    id: UUID
    user_id: int
    dry_run: bool = False


class _LeadState(NamedTuple):
    """Where a lead stands; `is_done`: it was moved under this change before."""

    state: str
    last_event_id: int | None
    is_done: bool


def change_states(
    database: Database, ids: Sequence[int], *, to: str, expected: str | None, author: Author
) -> list[OutcomeModel]:
    """Move the leads to state `to`, those of them that are in state `expected` (None: in any), in one transaction.

    A lead that was moved under this change already is `changed`, so that the same ids can be sent again; the others are
    looked at afresh. With `expected`, one that is in `to` already is `unchanged` where the same user moved it last, and
    else a `conflict`: of two who claim a lead, one gets it. Raises InvalidFields where the change's id is that of
    another, or DatabaseUnavailable.
    """

    def work(connection: Connection) -> list[OutcomeModel]:
        _begin(connection, author, to_state=to, from_state=expected, undoes=None)
        found = _standing(connection, ids, author)
        own = _last_moved_by(connection, author.user_id, found.values()) if expected is not None else set()
        results = [_judged(number, found.get(number), to=to, expected=expected, own=own) for number in ids]
        moving = {one.id for one in results if one.result == "changed" and not found[one.id].is_done}
        _move(connection, select(lead.c.id, lead.c.state, literal(to)), moving, author)
        return results

    return _run(database, author, work)


def undo(
    database: Database, undone: UUID, *, after: int, known: Sequence[str], author: Author, others: bool = False
) -> tuple[list[OutcomeModel], int | None]:
    """Put back what a change did to up to MAX_LEADS leads, wherever its event is still the lead's last.

    They go by id, from the one after `after` on; the second value is the id to go on from, or None at the end.
    `already_undone` are those that an earlier undo put back; `moved` are those that were moved since. Raises
    ChangeNotFound, ChangeByAnotherUser unless `others` or in a dry run, InvalidFields where a state to go back to is
    known no more or the change's id is that of another, or DatabaseUnavailable.
    """

    def work(connection: Connection) -> tuple[list[OutcomeModel], int | None]:
        _check_undoable(connection, undone, author, others=others)
        _begin(connection, author, to_state=None, from_state=None, undoes=undone)
        events = _events(connection, undone, after)
        found = _standing(connection, list(events), author)
        back = {n: events[n].from_state for n, at in found.items() if at.last_event_id == events[n].id}
        validate_states(sorted(set(back.values())), known=known, field="change")
        already = _already_undone(connection, undone, found.keys() - back.keys())
        results = [_judged_undone(n, at, back.get(n), is_undone=n in already) for n, at in found.items()]
        last = lead_event.c.id == lead.c.last_event_id
        source = select(lead.c.id, lead.c.state, lead_event.c.from_state).join(lead_event, last)
        _move(connection, source, back, author)
        return results, max(events) if len(events) == MAX_LEADS else None

    return _run(database, author, work)


def _run(database: Database, author: Author, work: Callable[[Connection], T]) -> T:
    return database.read(work) if author.dry_run else database.write(work)


def _begin(
    connection: Connection, author: Author, *, to_state: str | None, from_state: str | None, undoes: UUID | None
) -> None:
    """Keep the change, or see that it is the same one that is kept under the id."""
    row = {"id": author.id, "user_id": author.user_id, "to_state": to_state, "undoes": undoes, "from_state": from_state}
    if not author.dry_run and insert_if_absent(connection, change, row):
        return
    columns = change.c.user_id, change.c.to_state, change.c.undoes
    kept = connection.execute(select(*columns).where(change.c.id == author.id)).first()
    if kept is not None and tuple(kept) != (author.user_id, to_state, undoes):
        raise ValidationError(FieldError("change", "is the id of another change; make a new one"))


def _check_undoable(connection: Connection, undone: UUID, author: Author, *, others: bool) -> None:
    query = select(change.c.user_id, user_account.c.username).join(user_account, user_account.c.id == change.c.user_id)
    owner = connection.execute(query.where(change.c.id == undone)).first()
    if owner is None:
        raise ChangeNotFound(f"there is no change {undone}")
    if owner.user_id != author.user_id and not (others or author.dry_run):
        raise ChangeByAnotherUser(f'change {undone} was made by {owner.username}; undoing it needs "others": true')


def _standing(connection: Connection, ids: Collection[int], author: Author) -> Mapping[int, _LeadState]:
    """Return where the leads that exist stand, by id; locked in that order, since opposite orders deadlock."""
    distinct = set(ids)
    query = select(lead.c.id, lead.c.state, lead.c.last_event_id).where(is_among(lead.c.id, distinct))
    query = query.order_by(lead.c.id)
    rows = connection.execute(query if author.dry_run else query.with_for_update()).all()
    under = select(lead_event.c.lead_id).where(lead_event.c.change_id == author.id)
    done = set(connection.scalars(under.where(is_among(lead_event.c.lead_id, distinct))))
    return {row.id: _LeadState(row.state, row.last_event_id, row.id in done) for row in rows}


def _last_moved_by(connection: Connection, user_id: int, standings: Collection[_LeadState]) -> set[int]:
    """Return those of the leads' last events that are the user's."""
    last = {at.last_event_id for at in standings if at.last_event_id is not None}
    query = select(lead_event.c.id).where(is_among(lead_event.c.id, last), lead_event.c.user_id == user_id)
    return set(connection.scalars(query))


def _judged(number: int, at: _LeadState | None, *, to: str, expected: str | None, own: set[int]) -> OutcomeModel:
    if at is None:
        return OutcomeModel(id=number, result="missing", state=None)
    if at.is_done:
        return OutcomeModel(id=number, result="changed", state=at.state)
    if at.state == to and (expected in (None, to) or at.last_event_id in own):
        return OutcomeModel(id=number, result="unchanged", state=to)
    if expected is not None and at.state != expected:
        return OutcomeModel(id=number, result="conflict", state=at.state)
    return OutcomeModel(id=number, result="changed", state=to)


def _judged_undone(number: int, at: _LeadState, back: str | None, *, is_undone: bool) -> OutcomeModel:
    if back is not None:
        return OutcomeModel(id=number, result="undone", state=back)
    if at.is_done:
        return OutcomeModel(id=number, result="undone", state=at.state)
    return OutcomeModel(id=number, result="already_undone" if is_undone else "moved", state=at.state)


def _already_undone(connection: Connection, undone: UUID, ids: Collection[int]) -> set[int]:
    """Return those of the leads that an undo of the change put back, unless that undo was itself undone."""
    undoing, redoing, redo_event = change, change.alias(), lead_event.alias()
    redone = exists().where(
        redoing.c.undoes == undoing.c.id,
        redo_event.c.change_id == redoing.c.id,
        redo_event.c.lead_id == lead_event.c.lead_id,
    )
    query = select(lead_event.c.lead_id).join(undoing, undoing.c.id == lead_event.c.change_id)
    query = query.where(undoing.c.undoes == undone, is_among(lead_event.c.lead_id, ids), ~redone)
    return set(connection.scalars(query))


class _Event(NamedTuple):
    id: int
    from_state: str


def _events(connection: Connection, change_id: UUID, after: int) -> dict[int, _Event]:
    """Return the change's events of the next MAX_LEADS leads, by the leads' ids."""
    query = (
        select(lead_event.c.lead_id, lead_event.c.id, lead_event.c.from_state)
        .where(lead_event.c.change_id == change_id, lead_event.c.lead_id > after)
        .order_by(lead_event.c.lead_id)
        .limit(MAX_LEADS)
    )
    return {lead_id: _Event(number, state) for lead_id, number, state in connection.execute(query)}


def _move(connection: Connection, source: Select[Any], ids: Collection[int], author: Author) -> None:
    """Write an event for each of the leads, from the source's rows (id, state, next state), and move them."""
    if author.dry_run or not ids:
        return
    rows = source.add_columns(literal(author.user_id), literal(author.id, Uuid), Now())
    rows = rows.where(is_among(lead.c.id, ids)).order_by(lead.c.id)
    columns = ["lead_id", "from_state", "to_state", "user_id", "change_id", "at"]
    connection.execute(insert(lead_event).from_select(columns, rows))
    theirs = lead_event.c.change_id == author.id, lead_event.c.lead_id == lead.c.id, is_among(lead.c.id, ids)
    moved = {"state": lead_event.c.to_state, "state_since": Now(), "last_event_id": lead_event.c.id}
    connection.execute(update(lead).where(*theirs).values(moved))
    connection.execute(update(change).where(change.c.id == author.id).values(count=change.c.count + len(ids)))

"""Bulk state changes, each with an id by which it can be undone."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row, Select, Uuid, func, insert, literal, select, update

from intake.database import Database, insert_if_absent
from intake.database.clock import Now
from intake.database.ids import is_among
from intake.database.schema import change, lead, lead_event, user_account
from intake.errors import ChangeByAnotherUser, ChangeNotFound, FieldError, ValidationError
from intake.leads.states import validate_states

MAX_LEADS = 10_000  # per request, which is one transaction

T = TypeVar("T")


class OutcomeModel(BaseModel):
    """Result for one lead, and its current state; of a conflict and a moved lead also its last change."""

    id: int
    result: Literal["changed", "unchanged", "missing", "conflict", "undone", "already_undone", "moved"]
    state: str | None = Field(description="Null if the lead does not exist.")
    by: str | None = Field(
        default=None, description="User who changed a `conflict` or `moved` lead last; null if nobody did."
    )
    at: datetime | None = Field(default=None, description="When that was.")


@dataclass(frozen=True, kw_only=True)
class ChangeContext:
    """Id and user of a change, and whether it is a dry run."""

    change_id: UUID
    user_id: int
    dry_run: bool = False


class _LeadState(NamedTuple):
    """A lead's state and last event; `is_done`: this change already includes the lead."""

    state: str
    last_event_id: int | None
    is_done: bool


def change_states(
    database: Database, ids: Sequence[int], *, to: str, expected: str | None, context: ChangeContext
) -> list[OutcomeModel]:
    """Change the state of the leads in state `expected` (None: any) to `to`, in one transaction.

    A request can be repeated: a lead that this change already includes is `changed`. With `expected`, a lead that is
    already in `to` is `unchanged` if the same user changed it last, and otherwise a `conflict`: of two users who claim
    a lead, only one succeeds. Raises ValidationError if the id belongs to another change, or DatabaseUnavailable.
    """

    def work(connection: Connection) -> list[OutcomeModel]:
        _begin(connection, context, to_state=to, from_state=expected, undoes=None)
        found = _lock_leads(connection, ids, context)
        own = _last_events_of_user(connection, context.user_id, found.values()) if expected is not None else set()
        results = [_result(lead_id, found.get(lead_id), to=to, expected=expected, own=own) for lead_id in ids]
        changed = {result.id for result in results if result.result == "changed" and not found[result.id].is_done}
        _apply(connection, select(lead.c.id, lead.c.state, literal(to)), changed, context)
        return _with_last_changes(connection, results, found)

    return _run(database, context, work)


def undo(
    database: Database, undone: UUID, *, after: int, known: Sequence[str], context: ChangeContext, others: bool = False
) -> tuple[list[OutcomeModel], int | None]:
    """Restore the previous state of up to MAX_LEADS leads whose last event belongs to the change.

    Leads are processed by id, after `after`; the second value is the next `after`, or None at the end. The result is
    `already_undone` after an earlier undo, and `moved` after another change. Raises ChangeNotFound,
    ChangeByAnotherUser unless `others` or in a dry run, ValidationError if a previous state is no longer configured
    or the id belongs to another change, or DatabaseUnavailable.
    """

    def work(connection: Connection) -> tuple[list[OutcomeModel], int | None]:
        _check_undoable(connection, undone, context, others=others)
        _begin(connection, context, to_state=None, from_state=None, undoes=undone)
        events = _events(connection, undone, after)
        found = _lock_leads(connection, list(events), context)
        previous = {
            lead_id: events[lead_id].from_state
            for lead_id, current in found.items()
            if current.last_event_id == events[lead_id].id
        }
        validate_states(sorted(set(previous.values())), known=known, field="change")
        already = _already_undone(connection, undone, found.keys() - previous.keys())
        results = [
            _undo_result(lead_id, current, previous.get(lead_id), is_undone=lead_id in already)
            for lead_id, current in found.items()
        ]
        last = lead_event.c.id == lead.c.last_event_id
        source = select(lead.c.id, lead.c.state, lead_event.c.from_state).join(lead_event, last)
        _apply(connection, source, previous, context)
        results = _with_last_changes(connection, results, found)
        return results, max(events) if len(events) == MAX_LEADS else None

    return _run(database, context, work)


def _run(database: Database, context: ChangeContext, work: Callable[[Connection], T]) -> T:
    return database.read(work) if context.dry_run else database.write(work)


def _begin(
    connection: Connection, context: ChangeContext, *, to_state: str | None, from_state: str | None, undoes: UUID | None
) -> None:
    """Insert the change, or check that the id belongs to the same change."""
    row = {
        "id": context.change_id,
        "user_id": context.user_id,
        "to_state": to_state,
        "undoes": undoes,
        "from_state": from_state,
    }
    if not context.dry_run and insert_if_absent(connection, change, row):
        return
    columns = change.c.user_id, change.c.to_state, change.c.undoes
    existing = connection.execute(select(*columns).where(change.c.id == context.change_id)).first()
    if existing is not None and tuple(existing) != (context.user_id, to_state, undoes):
        raise ValidationError(FieldError("change", "is the id of another change; use a new one", "already_used"))


def _check_undoable(connection: Connection, undone: UUID, context: ChangeContext, *, others: bool) -> None:
    query = select(change.c.user_id, user_account.c.username).join(user_account, user_account.c.id == change.c.user_id)
    owner = connection.execute(query.where(change.c.id == undone)).first()
    if owner is None:
        raise ChangeNotFound(f"there is no change {undone}")
    if owner.user_id != context.user_id and not (others or context.dry_run):
        raise ChangeByAnotherUser(f'change {undone} was made by {owner.username}; send "others": true to undo it')


def _lock_leads(connection: Connection, ids: Collection[int], context: ChangeContext) -> Mapping[int, _LeadState]:
    """Return the state of each existing lead, locked by id: opposite orders deadlock."""
    distinct = set(ids)
    query = select(lead.c.id, lead.c.state, lead.c.last_event_id).where(is_among(lead.c.id, distinct))
    query = query.order_by(lead.c.id)
    rows = connection.execute(query if context.dry_run else query.with_for_update()).all()
    done_ids = select(lead_event.c.lead_id).where(lead_event.c.change_id == context.change_id)
    done = set(connection.scalars(done_ids.where(is_among(lead_event.c.lead_id, distinct))))
    return {row.id: _LeadState(row.state, row.last_event_id, row.id in done) for row in rows}


def _last_events_of_user(connection: Connection, user_id: int, states: Collection[_LeadState]) -> set[int]:
    """Return the ids of those leads' last events that the user made."""
    last = {state.last_event_id for state in states if state.last_event_id is not None}
    query = select(lead_event.c.id).where(is_among(lead_event.c.id, last), lead_event.c.user_id == user_id)
    return set(connection.scalars(query))


def _result(lead_id: int, current: _LeadState | None, *, to: str, expected: str | None, own: set[int]) -> OutcomeModel:
    if current is None:
        return OutcomeModel(id=lead_id, result="missing", state=None)
    if current.is_done:
        return OutcomeModel(id=lead_id, result="changed", state=current.state)
    if current.state == to and (expected in (None, to) or current.last_event_id in own):
        return OutcomeModel(id=lead_id, result="unchanged", state=to)
    if expected is not None and current.state != expected:
        return OutcomeModel(id=lead_id, result="conflict", state=current.state)
    return OutcomeModel(id=lead_id, result="changed", state=to)


def _with_last_changes(
    connection: Connection, results: Sequence[OutcomeModel], found: Mapping[int, _LeadState]
) -> list[OutcomeModel]:
    """Return the results, those of conflicts and moved leads with the user and time of the lead's last change."""
    events = {one.id: found[one.id].last_event_id for one in results if one.result in ("conflict", "moved")}
    last = {event for event in events.values() if event is not None}
    query = select(lead_event.c.id, user_account.c.username.label("by"), lead_event.c.at)
    query = query.join(user_account, user_account.c.id == lead_event.c.user_id).where(is_among(lead_event.c.id, last))
    changes = {row.id: {"by": row.by, "at": row.at} for row in connection.execute(query)} if last else {}
    return [one.model_copy(update=changes.get(events.get(one.id), {})) for one in results]


def _undo_result(lead_id: int, current: _LeadState, previous: str | None, *, is_undone: bool) -> OutcomeModel:
    if previous is not None:
        return OutcomeModel(id=lead_id, result="undone", state=previous)
    if current.is_done:
        return OutcomeModel(id=lead_id, result="undone", state=current.state)
    return OutcomeModel(id=lead_id, result="already_undone" if is_undone else "moved", state=current.state)


def _already_undone(connection: Connection, undone: UUID, ids: Collection[int]) -> set[int]:
    """Return the leads that an undo of the change restored, unless that undo is undone itself.

    Each change of a lead can be undone once, so that undos of undos form a chain: an odd number of them is an undo.
    """
    first = select(lead_event.c.lead_id, lead_event.c.change_id, literal(0).label("undos"))
    first = first.where(lead_event.c.change_id == undone, is_among(lead_event.c.lead_id, ids))
    chain = first.cte("chain", recursive=True)
    following = (
        select(lead_event.c.lead_id, lead_event.c.change_id, chain.c.undos + 1)
        .select_from(chain)
        .join(change, change.c.undoes == chain.c.change_id)
        .join(lead_event, (lead_event.c.change_id == change.c.id) & (lead_event.c.lead_id == chain.c.lead_id))
    )
    chain = chain.union_all(following)
    query = select(chain.c.lead_id).group_by(chain.c.lead_id).having(func.max(chain.c.undos) % 2 == 1)
    return set(connection.scalars(query))


def _events(connection: Connection, change_id: UUID, after: int) -> dict[int, Row[int, int, str]]:
    """Return the change's events of the next MAX_LEADS leads, by the leads' ids."""
    query = (
        select(lead_event.c.lead_id, lead_event.c.id, lead_event.c.from_state)
        .where(lead_event.c.change_id == change_id, lead_event.c.lead_id > after)
        .order_by(lead_event.c.lead_id)
        .limit(MAX_LEADS)
    )
    return {row.lead_id: row for row in connection.execute(query)}


def _apply(connection: Connection, source: Select[Any], ids: Collection[int], context: ChangeContext) -> None:
    """Insert an event for each lead from the source's rows (id, state, next state), and update the leads."""
    if context.dry_run or not ids:
        return
    rows = source.add_columns(literal(context.user_id), literal(context.change_id, Uuid), Now())
    rows = rows.where(is_among(lead.c.id, ids)).order_by(lead.c.id)
    columns = ["lead_id", "from_state", "to_state", "user_id", "change_id", "at"]
    connection.execute(insert(lead_event).from_select(columns, rows))
    of_change = lead_event.c.change_id == context.change_id, lead_event.c.lead_id == lead.c.id, is_among(lead.c.id, ids)
    values = {"state": lead_event.c.to_state, "state_since": Now(), "last_event_id": lead_event.c.id}
    connection.execute(update(lead).where(*of_change).values(values))
    connection.execute(update(change).where(change.c.id == context.change_id).values(count=change.c.count + len(ids)))

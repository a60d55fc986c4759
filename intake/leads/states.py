"""State changes, from any state to any other, with a history."""

from collections.abc import Sequence
from difflib import get_close_matches

from sqlalchemy import Connection, func, insert, select, update

from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import lead, lead_event
from intake.errors import FieldError, LeadNotFound, StateConflict, UnknownStatesInUse, ValidationError


def change_state(database: Database, lead_id: int, *, to: str, expected: str | None, user_id: int) -> None:
    """Change the lead's state to `to` if it is `expected` (None: any), and record the user.

    A lead that is already in `to` stays unchanged. Raises LeadNotFound, StateConflict or DatabaseUnavailable.
    """

    def work(connection: Connection) -> None:
        state = _lock(connection, lead_id)
        if expected is not None and state != expected:
            raise StateConflict(f"lead {lead_id} is in state {state}, not {expected}")
        if state != to:
            _update(connection, lead_id, state, to, user_id)

    database.write(work)


def validate_states(states: Sequence[str], *, known: Sequence[str], field: str) -> None:
    """Raise ValidationError if one of the states is unknown."""
    for state in states:
        if state not in known:
            closest = get_close_matches(state.upper(), known, 1)
            meant = f" (did you mean {closest[0]}?)" if closest else ""
            detail = f"{state!r} is not a state{meant}; the states are {', '.join(known)}"
            raise ValidationError(FieldError(field, detail, "not_one_of", {"choices": list(known)}))


def check_stored_states(database: Database, *, known: Sequence[str]) -> None:
    """Raise UnknownStatesInUse, with counts, if leads are in states that are not configured."""
    query = (
        select(lead.c.state, func.count())
        .where(lead.c.state.not_in(known))
        .group_by(lead.c.state)
        .order_by(lead.c.state)
    )
    counts = database.read(lambda connection: connection.execute(query).all())
    if counts:
        listed = ", ".join(f"{count} in {state}" for state, count in counts)
        raise UnknownStatesInUse(
            f"leads are in states that INTAKE_STATES lacks: {listed}; add those states to it again"
        )


def _lock(connection: Connection, lead_id: int) -> str:
    query = select(lead.c.state).where(lead.c.id == lead_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise LeadNotFound(f"there is no lead {lead_id}")
    return str(row.state)


def _update(connection: Connection, lead_id: int, state: str, to: str, user_id: int) -> None:
    event = insert(lead_event).values(lead_id=lead_id, user_id=user_id, from_state=state, to_state=to)
    event_id = connection.execute(event.returning(lead_event.c.id)).scalar_one()
    change = update(lead).where(lead.c.id == lead_id)
    connection.execute(change.values(state=to, state_since=Now(), last_event_id=event_id))

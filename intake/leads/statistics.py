"""Lead statistics, computed from indexes only, never from the table of CVs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, Select, func, select

from intake.database import Database
from intake.database.clock import Now, UtcDay
from intake.database.schema import SUSPECT, lead
from intake.leads.models import SuspectFilter, suspect_conditions
from intake.mail.admin import UnsentMails, count_unsent
from intake.request_models import RequestModel

DAYS = 30


class WaitingLead(BaseModel):
    """The oldest lead in the first state."""

    id: int
    created_at: datetime


class Statistics(BaseModel):
    """Numbers of leads and unsent mails."""

    total: int = Field(description="All leads that are counted.")
    suspect: int = Field(description="Suspect leads, whether they are counted or not.")
    states: dict[str, int] = Field(description="Leads in each state, in the order of the states.")
    days: dict[str, int] = Field(
        description=f"Leads received on each of the last {DAYS} days in UTC, as YYYY-MM-DD, up to today."
    )
    oldest_waiting: WaitingLead | None = Field(description="The oldest lead in the first state.")
    mails: UnsentMails
    state_keys: dict[str, str] = Field(description="`INTAKE_STATE_KEYS`: keys of states in `leadctl triage`.")


class StatsQuery(RequestModel):
    """Which leads are counted."""

    suspect: SuspectFilter = None


def count(
    database: Database, *, states: Sequence[str], state_keys: Mapping[str, str], suspect: bool | None = None
) -> Statistics:
    """Count the leads, with every state in their order, and the unsent mails.

    `suspect` restricts the leads as in StatsQuery. Raises DatabaseUnavailable.
    """
    mails = count_unsent(database)

    def work(connection: Connection) -> Statistics:
        found = _counts(connection, by_state(), suspect)
        suspects = select(func.count()).select_from(lead).where(SUSPECT)
        oldest = connection.execute(oldest_in(states[0], suspect)).first()
        return Statistics(
            total=found.total(),  # also those in a state that this process does not know yet
            states={state: found.get(state, 0) for state in states},
            suspect=connection.execute(suspects).scalar_one(),
            days=_days(connection, suspect),
            oldest_waiting=oldest and WaitingLead(id=oldest.id, created_at=oldest.created_at),
            mails=mails,
            state_keys=dict(state_keys),
        )

    return database.read(work)


def by_state() -> Select[str, int]:
    """Return the query for the number of leads per state."""
    return select(lead.c.state, func.count()).group_by(lead.c.state)


def by_day(since: datetime) -> Select[date, int]:
    """Return the query for the number of leads per day."""
    day = UtcDay(lead.c.created_at)
    return select(day, func.count()).where(lead.c.created_at >= since).group_by(day)


def oldest_in(state: str, suspect: bool | None = None) -> Select[int, datetime]:
    """Return the query for the oldest lead in a state, of those that are counted."""
    # the id alone is read from the index on state and id; with more columns, PostgreSQL may scan all ids
    is_counted = lead.c.state == state, *suspect_conditions(suspect)
    first = select(func.min(lead.c.id)).where(*is_counted).scalar_subquery()
    return select(lead.c.id, lead.c.created_at).where(lead.c.id == first)


def _counts(connection: Connection, query: Select[Any, int], suspect: bool | None) -> Counter[Any]:
    """Return the numbers of a query; those without suspect leads are a difference, because indexes have all leads."""
    found = Counter[Any]() if suspect else Counter(dict(connection.execute(query).all()))
    if suspect is None:
        return found
    suspects: Counter[Any] = Counter(dict(connection.execute(query.where(SUSPECT)).all()))
    return suspects if suspect else found - suspects


def _days(connection: Connection, suspect: bool | None) -> dict[str, int]:
    today = connection.execute(select(Now())).scalar_one().date()
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    midnight = datetime(days[0].year, days[0].month, days[0].day, tzinfo=UTC)
    found = _counts(connection, by_day(midnight), suspect)
    return {day.isoformat(): found.get(day, 0) for day in days}

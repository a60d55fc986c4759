"""Leads as they are counted: from indexes alone, and never from a CV's table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select

from intake.database import Database
from intake.database.clock import Now, UtcDay
from intake.database.schema import lead

DAYS = 30


@dataclass(frozen=True)
class OldestPending:
    """A lead that nobody has taken up."""

    id: int
    created_at: datetime


@dataclass(frozen=True)
class Statistics:
    """How many leads are in each state, and came on each of the last DAYS days (UTC, the oldest first).

    `oldest_waiting` is the one that has been in the first state without being taken up since it came.
    """

    states: Mapping[str, int]
    days: Mapping[date, int]
    oldest_waiting: OldestPending | None


def count(database: Database, *, states: Sequence[str]) -> Statistics:
    """Count the leads; every one of the states has its number, in their order. Raises DatabaseUnavailable."""

    def work(connection: Connection) -> Statistics:
        found = _numbers(connection, by_state())
        oldest = connection.execute(oldest_in(states[0])).first()
        return Statistics(
            {state: found.get(state, 0) for state in states},
            _days(connection),
            None if oldest is None else OldestPending(oldest.id, oldest.created_at),
        )

    return database.read(work)


def by_state() -> Select[str, int]:
    """Return the statement that counts each state's leads."""
    return select(lead.c.state, func.count()).group_by(lead.c.state)


def by_day(since: datetime) -> Select[date, int]:
    """Return the statement that counts each day's leads, from a moment on."""
    day = UtcDay(lead.c.created_at)
    return select(day, func.count()).where(lead.c.created_at >= since).group_by(day)


def oldest_in(state: str) -> Select[int, datetime]:
    """Return the statement that finds the first lead that came and is in this state."""
    # the id by itself is found in the index on state and id; with more to read, PostgreSQL may walk along all ids
    first = select(func.min(lead.c.id)).where(lead.c.state == state).scalar_subquery()
    return select(lead.c.id, lead.c.created_at).where(lead.c.id == first)


def _days(connection: Connection) -> Mapping[date, int]:
    today = connection.execute(select(Now())).scalar_one().date()
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    midnight = datetime(days[0].year, days[0].month, days[0].day, tzinfo=UTC)
    found = _numbers(connection, by_day(midnight))
    return {day: found.get(day, 0) for day in days}


def _numbers(connection: Connection, query: Select[Any, int]) -> dict[Any, int]:
    return {row[0]: row[1] for row in connection.execute(query)}

"""Polling without gaps or duplicates, for any clocks and any order of transactions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadctl.errors import LeadctlError, ServerError, TryAgain
from leadctl.output.formats import Record
from leadctl.polling import LeadPoller, follow

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Server:
    """A server with its own clock; after `away_after` leads it fails once."""

    ahead_s: float = 0.0
    now_s: float = 0.0
    away_after: int | None = None
    leads: list[tuple[float, float, int]] = field(default_factory=list)  # created, visible, id
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now_s

    def find(self, filters: Mapping[str, Any]) -> Iterator[Record]:
        self.asked.append(filters)
        since = datetime.fromisoformat(filters["since"]) if filters else None
        number = 0
        for came_s, seen_s, lead_id in sorted(self.leads, key=lambda lead: lead[2]):
            came = BEGAN + timedelta(seconds=came_s + self.ahead_s)
            if seen_s <= self.now_s and (since is None or came >= since):
                if number == self.away_after:
                    self.away_after = None
                    raise TryAgain("away")
                number += 1
                yield {"id": lead_id, "created_at": came.isoformat(), "state": "PENDING"}

    def newest(self) -> Record | None:
        return max(self.find({}), key=lambda lead: int(lead["id"]), default=None)


lead_times = st.lists(st.tuples(st.floats(-300, 900), st.floats(0, 59)), max_size=40)


@given(lead_times, st.floats(-(10**6), 10**6), st.lists(st.floats(0.1, 200), max_size=20), st.integers(0, 3))
def test_polling_has_no_gaps_and_no_duplicates(
    times: list[tuple[float, float]], ahead_s: float, pauses: list[float], away_after: int
) -> None:
    came = sorted(times)
    server = Server(ahead_s, leads=[(at, at + takes, number) for number, (at, takes) in enumerate(came, 1)])
    there = {lead_id for _, seen_s, lead_id in server.leads if seen_s <= 0}
    poller = LeadPoller(server.find, since=None, clock=server.clock)
    poller.skip_existing(server.newest())
    server.away_after = away_after
    got: list[int] = []
    for pause in [*pauses, 2000.0, 1.0]:
        server.now_s += pause
        try:
            for lead in poller.poll():
                got.append(lead["id"])  # noqa: PERF401 - keep the leads received before the error
        except TryAgain:
            continue
    assert sorted(got) == sorted({lead_id for *_, lead_id in server.leads} - there)


def test_a_lead_with_a_slow_transaction_is_found() -> None:
    server = Server(leads=[(0, 59, 1), (58, 58, 2)])
    poller = LeadPoller(server.find, since=None, clock=server.clock)
    poller.skip_existing(None)
    seen: list[list[int]] = []
    for server.now_s in (58.5, 60, 62):
        seen.append([lead["id"] for lead in poller.poll()])
    assert seen == [[2], [1], []]


def test_since_includes_existing_leads() -> None:
    server = Server(leads=[(-500, -500, 1), (-205, -205, 4), (-100, -100, 2), (-90, 5, 3)])
    since = (BEGAN - timedelta(seconds=200)).isoformat()
    poller = LeadPoller(server.find, since=since, clock=server.clock)
    assert [lead["id"] for lead in poller.poll()] == [2]
    server.now_s = 10
    assert [lead["id"] for lead in poller.poll()] == [3]
    server.now_s = 1000
    assert list(poller.poll()) == []


def test_the_overlap_of_polls_is_bounded() -> None:
    server = Server(leads=[(float(at), float(at), at + 1) for at in range(1000)])
    poller = LeadPoller(server.find, since=None, clock=server.clock)
    poller.skip_existing(server.newest())
    for _ in range(1000):
        server.now_s += 1
        list(poller.poll())
        assert len(poller._seen) < 130
    assert datetime.fromisoformat(server.asked[-1]["since"]) > BEGAN + timedelta(seconds=850)


def test_an_unavailable_server_is_reported_once_with_exponential_backoff() -> None:
    said: list[str] = []
    pauses: list[float] = []
    answers: list[list[Record] | None] = [[], None, None, None, None, None, None, None, [], []]

    def find(_filters: Mapping[str, Any]) -> Iterator[Record]:
        answer = answers.pop(0)
        if answer is None:
            raise (TryAgain if len(answers) % 2 else ServerError)("away")
        return iter(answer)

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return bool(answers)

    assert list(follow(LeadPoller(find, since=None), wait=wait, interval_s=2, info=said.append)) == []
    assert said == ["away (retrying)", "reconnected"]
    assert pauses == [2, 0.5, 1, 2, 4, 8, 10, 10, 2, 2]


@pytest.mark.parametrize("created_at", ["soon", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
def test_an_invalid_timestamp_is_an_error(created_at: str) -> None:
    poller = LeadPoller(lambda _: [{"id": 1, "created_at": created_at}], since=None)
    with pytest.raises(LeadctlError, match="not a timestamp"):
        list(poller.poll())

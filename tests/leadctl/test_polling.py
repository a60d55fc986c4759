"""New leads, each once, whatever the clocks say and in whatever order transactions end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadctl.errors import LeadctlError, TryAgain
from leadctl.output.formats import Record
from leadctl.polling import LeadPoller, follow

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Server:
    """Leads that can be seen from a moment on, by a clock of its own; `away_after` so many leads it breaks off once."""

    ahead_s: float = 0.0
    now_s: float = 0.0
    away_after: int | None = None
    leads: list[tuple[float, float, int]] = field(default_factory=list)  # when it came, when it is seen, its id
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
def test_none_is_missed_and_none_comes_twice(
    times: list[tuple[float, float]], ahead_s: float, pauses: list[float], away_after: int
) -> None:
    came = sorted(times)
    server = Server(ahead_s, leads=[(at, at + takes, number) for number, (at, takes) in enumerate(came, 1)])
    there = {lead_id for _, seen_s, lead_id in server.leads if seen_s <= 0}
    following = LeadPoller(server.find, since=None, clock=server.clock)
    following.pass_over(server.newest())
    server.away_after = away_after
    got: list[int] = []
    for pause in [*pauses, 2000.0, 1.0]:
        server.now_s += pause
        try:
            for lead in following.new():
                got.append(lead["id"])  # noqa: PERF401 - what came before it broke off counts
        except TryAgain:
            continue
    assert sorted(got) == sorted({lead_id for *_, lead_id in server.leads} - there)


def test_a_lead_whose_transaction_took_a_minute_is_seen_after_one_that_came_later() -> None:
    server = Server(leads=[(0, 59, 1), (58, 58, 2)])
    following = LeadPoller(server.find, since=None, clock=server.clock)
    following.pass_over(None)
    seen: list[list[int]] = []
    for server.now_s in (58.5, 60, 62):
        seen.append([lead["id"] for lead in following.new()])
    assert seen == [[2], [1], []]


def test_since_brings_what_was_there() -> None:
    server = Server(leads=[(-500, -500, 1), (-205, -205, 4), (-100, -100, 2), (-90, 5, 3)])
    since = (BEGAN - timedelta(seconds=200)).isoformat()
    following = LeadPoller(server.find, since=since, clock=server.clock)
    assert [lead["id"] for lead in following.new()] == [2]
    server.now_s = 10
    assert [lead["id"] for lead in following.new()] == [3]
    server.now_s = 1000
    assert list(following.new()) == []


def test_what_is_asked_for_again_does_not_grow() -> None:
    server = Server(leads=[(float(at), float(at), at + 1) for at in range(1000)])
    following = LeadPoller(server.find, since=None, clock=server.clock)
    following.pass_over(server.newest())
    for _ in range(1000):
        server.now_s += 1
        list(following.new())
        assert len(following._seen) < 130
    assert datetime.fromisoformat(server.asked[-1]["since"]) > BEGAN + timedelta(seconds=850)


def test_a_server_that_is_away_is_told_of_once_and_waited_for_ever_longer() -> None:
    said: list[str] = []
    pauses: list[float] = []
    answers: list[list[Record] | None] = [[], None, None, None, None, None, None, None, [], []]

    def find(_filters: Mapping[str, Any]) -> Iterator[Record]:
        answer = answers.pop(0)
        if answer is None:
            raise TryAgain("away")
        return iter(answer)

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return bool(answers)

    assert list(follow(LeadPoller(find, since=None), wait=wait, interval_s=2, say=said.append)) == []
    assert said == ["away (watching goes on when it answers)", "it answers again"]
    assert pauses == [2, 0.5, 1, 2, 4, 8, 10, 10, 2, 2]


def test_a_moment_that_is_none_is_told() -> None:
    following = LeadPoller(lambda _: [{"id": 1, "created_at": "soon"}], since=None)
    with pytest.raises(LeadctlError, match="no moment"):
        list(following.new())

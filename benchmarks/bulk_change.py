"""Bulk state changes in one request and through a leadctl pipe, compared with bare SQL and single PATCH requests.

The baseline is one driver transaction of two statements: insert the history rows, then update the leads.
"""

import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import cycle
from pathlib import Path

import httpx2
import psycopg2

from benchmarks.measure import Result, Size, in_turn
from benchmarks.services import KINDS, Deployment, deployed
from tests.system.programs import LEADCTL, clean_environment

REQUESTED = 10_000
PIPED = 5_000
PATCHED = 100
EVENTS = (
    "INSERT INTO lead_event (lead_id, user_id, at, from_state, to_state)"
    " SELECT id, 1, {now}, state, '{to}' FROM lead WHERE id <= {count} ORDER BY id"
)
MOVE = (
    "UPDATE lead SET state = '{to}', state_since = {now}, last_event_id ="
    " (SELECT max(id) FROM lead_event WHERE lead_id = lead.id) WHERE id <= {count}"
)


def results(size: Size) -> Iterator[Result]:
    """Yield the results for both databases."""
    for kind in KINDS:
        with deployed(kind, leads=REQUESTED) as deployment:
            yield from _results(deployment, size)


def _results(deployment: Deployment, size: Size) -> Iterator[Result]:
    """Yield the results; each measurement moves its leads to another state than the one before."""
    states = cycle(("REACHED_OUT", "ENGAGED", "DECLINED"))
    headers = {"Authorization": f"Bearer {deployment.token}"}
    with httpx2.Client(base_url=deployment.service.url, headers=headers, timeout=60) as client:
        sides: dict[str, Callable[[str], object]] = {
            "bare": partial(_move_bare, deployment.url, REQUESTED),
            "requested": partial(_request, client),
            "bare, fewer": partial(_move_bare, deployment.url, PIPED),
            "piped": partial(_pipe, deployment),
            "patched": partial(_patch, client),
        }
        taken = in_turn(size, {name: partial(_timed, move, states) for name, move in sides.items()})
    for work, beside, ours, theirs, goal in (
        (f"{REQUESTED:,} leads changed in one request", "two statements, driver alone", "requested", "bare", 3),
        (f"leadctl list | set-state of {PIPED:,} leads", "two statements, driver alone", "piped", "bare, fewer", 8),
    ):
        named = f"{work}, {deployment.name}"
        yield Result(
            work=named,
            beside=beside,
            unit="s",
            ours=taken[ours],
            theirs=taken[theirs],
            goal=goal,
            at_most=True,
            is_detail=ours != "piped" or deployment.name != "SQLite",
        )
    yield Result(
        work=f"leadctl list | set-state of {PIPED:,} leads, {deployment.name}",
        beside="a PATCH for each",
        unit="leads/s",
        ours=[PIPED / seconds for seconds in taken["piped"]],
        theirs=[PATCHED / seconds for seconds in taken["patched"]],
        goal=50,
        is_detail=True,
    )


def _timed(move: Callable[[str], object], states: Iterator[str]) -> float:
    state = next(states)
    began = time.perf_counter()
    move(state)
    return time.perf_counter() - began


def _move_bare(url: str, count: int, to: str) -> None:
    run(url, EVENTS, MOVE, count=count, to=to)


def run(url: str, *statements: str, **fields: object) -> None:
    """Run statements in one transaction of the bare driver; `{now}` is replaced by the current time."""
    is_sqlite = url.startswith("sqlite")
    now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')" if is_sqlite else "now()"
    opened = sqlite3.connect(url.removeprefix("sqlite:///")) if is_sqlite else psycopg2.connect(_plain(url))
    with closing(opened) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement.format(now=now, **fields))
        connection.commit()


def _plain(url: str) -> str:
    return url.replace("+psycopg2", "")


def _request(client: httpx2.Client, to: str) -> None:
    body = {"ids": list(range(1, REQUESTED + 1)), "status": to}
    client.post("/internal/leads/state", json=body).raise_for_status()


def _pipe(deployment: Deployment, to: str) -> None:
    pipe = f"'{LEADCTL}' list -o ids --sort id -n {PIPED} | '{LEADCTL}' set-state {to} -"
    environment = clean_environment(
        Path("/nonexistent"), LEADCTL_URL=deployment.service.url, LEADCTL_TOKEN=deployment.token
    )
    subprocess.run(["bash", "-c", pipe], env=environment, check=True, capture_output=True)


def _patch(client: httpx2.Client, to: str) -> None:
    for lead_id in range(1, PATCHED + 1):
        client.patch(f"/internal/leads/{lead_id}", json={"status": to}).raise_for_status()

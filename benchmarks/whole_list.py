"""All leads as one JSON array over HTTP, compared with the database driver, and its memory."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2

from benchmarks.http_client import PersistentConnection
from benchmarks.measure import MB, Result, Size, in_turn
from benchmarks.services import Deployment
from tests.system.programs import peak_bytes

COLUMNS = 'SELECT id, email, f_name, l_name, "CV_name", state, created_at FROM lead ORDER BY id'


def results(deployment: Deployment, size: Size) -> Iterator[Result]:
    """Yield the duration of the array, the time to its first bytes, and the memory it adds to the service."""
    work = f"all {size.leads:,} leads as JSON, {deployment.name}"
    bare, goal, read_bare = _bare(deployment)
    begun_after: list[float] = []
    added: list[float] = []

    def read_ours() -> float:
        with PersistentConnection(deployment.service.url, deployment.token) as client:
            first, last = client.stream("/internal/leads/")
        begun_after.append(first * 1000)
        added.append(peak_bytes(deployment.service.process.pid) / MB - before)
        return last

    with PersistentConnection(deployment.service.url, deployment.token) as client:
        client.get("/internal/leads/?limit=50")
    before = peak_bytes(deployment.service.process.pid) / MB
    taken = in_turn(size, {"ours": read_ours, "theirs": read_bare})
    yield Result(work=work, beside=bare, unit="s", ours=taken["ours"], theirs=taken["theirs"], goal=goal, at_most=True)
    yield Result(
        work=f"{work}: its first bytes",
        beside="",
        unit="ms",
        ours=begun_after,
        theirs=(),
        goal=100,
        at_most=True,
        is_detail=True,
    )
    yield Result(
        work=f"{work}: memory added", beside="", unit="MB", ours=added, theirs=(), goal=30, at_most=True, is_detail=True
    )


def _bare(deployment: Deployment) -> tuple[str, float, Callable[[], float]]:
    """Return the baseline's name, the goal, and a function that returns its seconds."""
    if deployment.url.startswith("sqlite"):
        return "the rows, sqlite3 alone", 1.5, lambda: _iterated(deployment.url.removeprefix("sqlite:///"))
    return "COPY of row_to_json, psycopg2", 1.1, lambda: _copied(deployment.url.replace("+psycopg2", ""))


def _iterated(file: str) -> float:
    with closing(sqlite3.connect(file)) as connection:
        began = time.perf_counter()
        for _ in connection.execute(COLUMNS):
            pass
        return time.perf_counter() - began


def _copied(url: str) -> float:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        cursor.copy_expert(f"COPY (SELECT row_to_json(row) FROM ({COLUMNS}) AS row) TO STDOUT", _NullFile())
        return time.perf_counter() - began


class _NullFile:
    """A file that discards its data."""

    def write(self, data: bytes) -> int:
        return len(data)

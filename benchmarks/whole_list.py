"""All leads as one JSON array over HTTP, beside what the database itself can do; and what it takes of memory."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2

from benchmarks.http_client import Asking
from benchmarks.measure import MB, Result, Size, in_turn
from benchmarks.services import Firm
from tests.system.programs import peak_bytes

COLUMNS = 'SELECT id, email, f_name, l_name, "CV_name", state, created_at FROM lead ORDER BY id'


def results(firm: Firm, size: Size) -> Iterator[Result]:
    """Yield how long the array takes, when it begins, and what it adds to the service's memory."""
    work = f"all {size.leads:,} leads as JSON, {firm.name}"
    bare, goal, read_bare = _bare(firm)
    begun_after: list[float] = []
    grown: list[float] = []

    def read_ours() -> float:
        with Asking(firm.service.url, firm.token) as asking:
            first, last = asking.stream("/internal/leads/")
        begun_after.append(first * 1000)
        grown.append(peak_bytes(firm.service.process.pid) / MB - before)
        return last

    with Asking(firm.service.url, firm.token) as asking:
        asking.get("/internal/leads/?limit=50")
    before = peak_bytes(firm.service.process.pid) / MB
    taken = in_turn(size, {"ours": read_ours, "theirs": read_bare})
    yield Result(work=work, beside=bare, unit="s", **taken, goal=goal, at_most=True)
    yield Result(
        work=f"{work}: its first bytes", beside="", unit="ms", ours=begun_after, theirs=(), goal=100, at_most=True
    )
    yield Result(work=f"{work}: memory added", beside="", unit="MB", ours=grown, theirs=(), goal=30, at_most=True)


def _bare(firm: Firm) -> tuple[str, float, Callable[[], float]]:
    """Return what ours is measured beside, its goal, and how long that takes, in seconds."""
    if firm.url.startswith("sqlite"):
        return "the rows, sqlite3 alone", 1.5, lambda: _iterated(firm.url.removeprefix("sqlite:///"))
    return "COPY of row_to_json, psycopg2", 1.1, lambda: _copied(firm.url.replace("+psycopg2", ""))


def _iterated(file: str) -> float:
    with closing(sqlite3.connect(file)) as connection:
        began = time.perf_counter()
        for _ in connection.execute(COLUMNS):
            pass
        return time.perf_counter() - began


def _copied(url: str) -> float:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        cursor.copy_expert(f"COPY (SELECT row_to_json(row) FROM ({COLUMNS}) AS row) TO STDOUT", _Nowhere())
        return time.perf_counter() - began


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: bytes) -> int:
        return len(data)

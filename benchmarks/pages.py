"""A page of 50 anywhere among many leads, beside an answer that costs nothing; and while others log in."""

import json
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from urllib.parse import quote

import httpx2

from benchmarks import http_client
from benchmarks.http_client import Asking
from benchmarks.measure import Result, Size, in_turn
from benchmarks.services import LOGINS, OTHERS, PASSWORD, Firm

PAGE = "/internal/leads/?limit=50"
CONSTANT = "/constant"
SHARE = 1 / 8  # of a round's seconds, for each of a dozen sides
PAUSE_S = 0.01  # between two pages while others log in
FIRST, LAST, Q = "first", "last", "q=, in few names"


def results(firm: Firm, size: Size) -> Iterator[Result]:
    """Yield how long the pages take, each beside a server that answers with a constant."""
    queries = _queries(firm, size)
    token, seconds = firm.token, size.seconds * SHARE
    constant = partial(http_client.median_of, firm.rival.url, token, CONSTANT, seconds=seconds)
    pages = {
        name: partial(http_client.median_of, firm.service.url, token, f"{PAGE}&{query}", seconds=seconds)
        for name, query in queries.items()
    }
    taken = in_turn(size, {CONSTANT: constant, **pages})
    for name in queries:
        yield Result(
            work=f"a page of 50 of {size.leads:,}, {name}, {firm.name}",
            beside="a constant, behind a token",
            unit="ms",
            ours=taken[name],
            theirs=taken[CONSTANT],
            goal=5 if name == Q else 2.5,
            at_most=True,
        )
    yield Result(
        work=f"the last page of 50 of {size.leads:,}, {firm.name}",
        beside="the first page",
        unit="ms",
        ours=taken[LAST],
        theirs=taken[FIRST],
        goal=1.25,
        at_most=True,
    )


def during_logins(firm: Firm, size: Size) -> Iterator[Result]:
    """Yield the slowest page of a hundred while many log in, beside the same while nobody does."""
    taken = in_turn(size, {"ours": lambda: _slowest_during_logins(firm), "theirs": lambda: _slowest(firm, size)})
    yield Result(
        work=f"a page of 50, p99, while {LOGINS} log in at once, {firm.name}",
        beside="while nobody does",
        unit="ms",
        **taken,
        goal=2,
        at_most=True,
    )


def _queries(firm: Firm, size: Size) -> dict[str, str]:
    """Return a query for each kind of page, by its name; the filters are those of a lead drawn from among all."""
    number = random.Random(size.leads).randint(1, size.leads)
    answer = httpx2.get(
        f"{firm.service.url}/internal/leads/{number}", headers={"Authorization": f"Bearer {firm.token}"}
    )
    lead = {name: quote(str(value)) for name, value in answer.raise_for_status().json().items()}
    person = lead["email"].partition("%40")[0]
    return {
        FIRST: "",
        "middle": f"after={size.leads // 2}",
        LAST: f"after={size.leads - 50}",
        "email=": f"email={lead['email']}",
        "l_name=": f"l_name={lead['l_name']}",
        "state=": f"state={lead['state']}",
        "l_name= and state=": f"l_name={lead['l_name']}&state={lead['state']}",
        "email= with a rare prefix": f"email={person}*",
        Q: f"q={person[1:]}",
    }


def _slowest(firm: Firm, size: Size) -> float:
    return _p99(http_client.times(firm.service.url, firm.token, PAGE, seconds=size.seconds, pause_s=PAUSE_S))


def _slowest_during_logins(firm: Firm) -> float:
    taken: list[float] = []
    with ExitStack() as stack:
        logins = [stack.enter_context(Asking(firm.service.url, firm.token)) for _ in range(LOGINS)]
        page = stack.enter_context(Asking(firm.service.url, firm.token))
        page.get(PAGE)
        for login, username in zip(logins, OTHERS, strict=True):  # of one user fewer may wait
            login.post("/internal/auth/login", json.dumps({"username": username, "password": PASSWORD}).encode())
        while not logins[-1].has_answer():
            began = time.perf_counter()
            page.get(PAGE)
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_S)
        for login in logins:
            login.take(b"200")
    return _p99(taken)


def _p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[-1]

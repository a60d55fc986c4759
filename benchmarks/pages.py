"""Latency of list pages among many leads, compared with a constant response; and during logins."""

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
from benchmarks.http_client import PersistentConnection
from benchmarks.measure import Result, Size, in_turn
from benchmarks.services import LOGINS, OTHERS, PASSWORD, Deployment

PAGE = "/internal/leads/?limit=50"
CONSTANT = "/constant"
SHARE = 1 / 8  # of a round's seconds, for each of a dozen measurements
PAUSE_S = 0.01  # between two pages while others log in
FIRST, LAST, Q = "first", "last", "q=, few matches"


def results(deployment: Deployment, size: Size) -> Iterator[Result]:
    """Yield the latency of each page, compared with a constant response."""
    queries = _queries(deployment, size)
    token, seconds = deployment.token, size.seconds * SHARE
    constant = partial(http_client.median_of, deployment.baseline.url, token, CONSTANT, seconds=seconds)
    pages = {
        name: partial(http_client.median_of, deployment.service.url, token, f"{PAGE}&{query}", seconds=seconds)
        for name, query in queries.items()
    }
    taken = in_turn(size, {CONSTANT: constant, **pages})
    for name in queries:
        yield Result(
            work=f"a page of 50 of {size.leads:,}, {name}, {deployment.name}",
            beside="a constant with authentication",
            unit="ms",
            ours=taken[name],
            theirs=taken[CONSTANT],
            goal=5 if name == Q else 2.5,
            at_most=True,
            is_detail=name != FIRST or deployment.name != "PostgreSQL",
        )
    yield Result(
        work=f"the last page of 50 of {size.leads:,}, {deployment.name}",
        beside="the first page",
        unit="ms",
        ours=taken[LAST],
        theirs=taken[FIRST],
        goal=1.25,
        at_most=True,
        is_detail=True,
    )


def during_logins(deployment: Deployment, size: Size) -> Iterator[Result]:
    """Yield the 99th percentile of a page during concurrent logins, compared with none."""
    taken = in_turn(
        size, {"ours": lambda: _slowest_during_logins(deployment), "theirs": lambda: _slowest(deployment, size)}
    )
    yield Result(
        work=f"a page of 50, p99, during {LOGINS} concurrent logins, {deployment.name}",
        beside="without logins",
        unit="ms",
        ours=taken["ours"],
        theirs=taken["theirs"],
        goal=2,
        at_most=True,
    )


def _queries(deployment: Deployment, size: Size) -> dict[str, str]:
    """Return a query per kind of page, by name; the filters match a random lead."""
    number = random.Random(size.leads).randint(1, size.leads)
    answer = httpx2.get(
        f"{deployment.service.url}/internal/leads/{number}", headers={"Authorization": f"Bearer {deployment.token}"}
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
        Q: f"q={person}",
    }


def _slowest(deployment: Deployment, size: Size) -> float:
    return _p99(
        http_client.times(deployment.service.url, deployment.token, PAGE, seconds=size.seconds, pause_s=PAUSE_S)
    )


def _slowest_during_logins(deployment: Deployment) -> float:
    taken: list[float] = []
    with ExitStack() as stack:
        logins = [
            stack.enter_context(PersistentConnection(deployment.service.url, deployment.token)) for _ in range(LOGINS)
        ]
        page = stack.enter_context(PersistentConnection(deployment.service.url, deployment.token))
        page.get(PAGE)
        for login, username in zip(logins, OTHERS, strict=True):  # fewer logins of one user may wait
            login.post("/internal/auth/login", json.dumps({"username": username, "password": PASSWORD}).encode())
        while not logins[-1].has_answer():
            began = time.perf_counter()
            page.get(PAGE)
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_S)
        for login in logins:
            login.read_response(b"200")
    return _p99(taken)


def _p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[-1]

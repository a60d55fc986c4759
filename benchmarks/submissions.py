"""Submission rates, compared with the bare database driver and with a typical FastAPI service."""

import os
from collections.abc import Callable, Iterator

from benchmarks import multi_process
from benchmarks.measure import MB, Result, Size, in_turn
from benchmarks.multi_process import Deployments, Load
from stress.durability.deployment import Site
from stress.durability.tally import SMALL
from tests.system.programs import Service, peak_bytes

CV, LARGE_CV = 100_000, 5_000_000
CONNECTIONS, FEW_CONNECTIONS = 32, 8
FEW_LEADS = 1_000
UNIT = "/s"
NAMES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
LIMITS = {"postgresql": "bare psycopg2, 8 threads", "sqlite": "bare sqlite3, one commit each"}


def results(size: Size) -> Iterator[Result]:
    """Yield all results, on databases of one server."""
    with Site(SMALL) as site:
        yield from on_postgresql(site, size)
        yield from on_sqlite(site, size)
        for kind, with_mail, without in (("postgresql", 4, 2), ("sqlite", 3, 1)):
            yield from beside_seed_style(site, kind, size, with_mail=with_mail, without=without)
        yield from large_cvs(site, size)
        for kind in NAMES:
            yield from as_leads_grow(site, kind, size)


def on_postgresql(site: Site, size: Size) -> Iterator[Result]:
    """Yield one process against the driver, two against one, and the cost of the load generator."""
    with Deployments(site) as deployments:
        limit, url = deployments.database("postgresql"), deployments.database("postgresql")
        one, another = deployments.service(url), deployments.service(url)
        loads: dict[int, list[Load]] = {1: [], 2: []}
        figures = in_turn(
            size,
            {
                "limit": lambda: multi_process.bare(limit, seconds=size.seconds, cv_bytes=CV),
                "one": _posting([one], size, loads[1]),
                "two": _posting([one, another], size, loads[2]),
            },
        )
    yield _result(_work("postgresql"), LIMITS["postgresql"], figures["one"], figures["limit"], goal=0.65)
    yield _result("the same, two `intake serve` on one database", "one", figures["two"], figures["one"], goal=1.5)
    cores = os.cpu_count() or 1
    for work, taken, most in (
        ("load generator at two processes, share of a core", [load.share for load in loads[2]], 0.5),
        ("cores busy at one process (two need 1.5 times as many)", [load.busy for load in loads[1]], cores / 1.5),
    ):
        yield Result(work=work, beside="", unit="cores", ours=taken, theirs=(), goal=most, at_most=True)


def on_sqlite(site: Site, size: Size) -> Iterator[Result]:
    """Yield one process against the driver."""
    with Deployments(site) as deployments:
        limit, service = deployments.database("sqlite"), deployments.service(deployments.database("sqlite"))
        figures = in_turn(
            size,
            {
                "limit": lambda: multi_process.bare(limit, seconds=size.seconds, cv_bytes=CV),
                "ours": _posting([service], size),
            },
        )
    yield _result(_work("sqlite"), LIMITS["sqlite"], figures["ours"], figures["limit"], goal=0.8)


def beside_seed_style(site: Site, kind: str, size: Size, *, with_mail: float, without: float) -> Iterator[Result]:
    """Yield a service with a worker against the baseline, which sends mail before it responds, or sends none.

    Our worker still sends mail after a round. Both rates count: submissions accepted, and with all mail sent.
    """
    until_sent: list[float] = []
    with Deployments(site) as deployments:
        url = deployments.database(kind)
        service = deployments.service(url, has_worker=True)
        post = _posting([service], size)

        def ours() -> float:
            rate = post()
            until_sent.append(rate * size.seconds / (size.seconds + multi_process.settled_after(url)))
            return rate

        multi_process.settled_after(url)
        figures = in_turn(
            size,
            {
                "ours": ours,
                "mail": _posting([deployments.seed_style(kind, has_mail=True)], size),
                "none": _posting([deployments.seed_style(kind, has_mail=False)], size),
            },
        )
    work = f"{_work(kind)}, sending mail"
    yield _result(work, "seed-style, sending mail", figures["ours"], figures["mail"], goal=with_mail)
    yield _result(work, "seed-style, without mail", figures["ours"], figures["none"], goal=without)
    sent = f"POST of a 100 KB CV, {NAMES[kind]}, counted until all mail is sent"
    yield _result(sent, "seed-style, sending mail", until_sent, figures["mail"], goal=1)


def large_cvs(site: Site, size: Size) -> Iterator[Result]:
    """Yield CVs of 5 MB against the driver, and the memory they use."""
    with Deployments(site) as deployments:
        limit, service = deployments.database("postgresql"), deployments.service(deployments.database("postgresql"))
        figures = in_turn(
            size,
            {
                "limit": lambda: multi_process.bare(limit, seconds=size.seconds, cv_bytes=LARGE_CV),
                "ours": _posting([service], size, connections=FEW_CONNECTIONS, cv_bytes=LARGE_CV),
            },
        )
        most = peak_bytes(service.process.pid) / MB
    work = f"POST of a 5 MB CV, PostgreSQL, {FEW_CONNECTIONS} connections"
    yield _result(work, LIMITS["postgresql"], figures["ours"], figures["limit"], goal=0.8)
    yield Result(
        work="memory of the service during this", beside="", unit="MB", ours=[most], theirs=(), goal=200, at_most=True
    )


def as_leads_grow(site: Site, kind: str, size: Size) -> Iterator[Result]:
    """Yield a database with many leads against one with few."""
    with Deployments(site) as deployments:
        sides = {
            leads: _posting([deployments.service(deployments.database(kind, leads=leads))], size)
            for leads in (FEW_LEADS, size.leads)
        }
        many, few = _posted(size, sides[size.leads], sides[FEW_LEADS])
    yield _result(f"{_work(kind)}, {size.leads:,} leads", f"{FEW_LEADS:,} leads", many, few, goal=0.9)


def _posted(size: Size, one: Callable[[], float], other: Callable[[], float]) -> tuple[list[float], list[float]]:
    figures = in_turn(size, {"one": one, "other": other})
    return figures["one"], figures["other"]


def _posting(
    services: list[Service],
    size: Size,
    loads: list[Load] | None = None,
    *,
    connections: int = CONNECTIONS,
    cv_bytes: int = CV,
) -> Callable[[], float]:
    """Warm up the services and return a function that measures one round; it appends its measurements to `loads`."""
    multi_process.warm(services, connections=connections, cv_bytes=cv_bytes)

    def post() -> float:
        load = multi_process.submitted(services, seconds=size.seconds, connections=connections, cv_bytes=cv_bytes)
        if loads is not None:
            loads.append(load)
        return load.rate

    return post


def _work(kind: str) -> str:
    return f"POST of a 100 KB CV, {NAMES[kind]}, {CONNECTIONS} connections"


def _result(work: str, beside: str, ours: list[float], theirs: list[float], *, goal: float) -> Result:
    return Result(work=work, beside=beside, unit=UNIT, ours=ours, theirs=theirs, goal=goal)

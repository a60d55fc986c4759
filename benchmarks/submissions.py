"""Submission rates, compared with the bare database driver and with a typical FastAPI service."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks import multi_process
from benchmarks.measure import MB, Result, Size, in_turn
from benchmarks.multi_process import Deployments
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
        yield from beside_seed_style(site, "postgresql", size, with_mail=4, without=1.8)
        yield from beside_seed_style(site, "sqlite", size, with_mail=3, without=1, is_detail=True)
        yield from without_mail(site, size)
        yield from large_cvs(site, size)
        for kind in NAMES:
            yield from as_leads_grow(site, kind, size)


def on_postgresql(site: Site, size: Size) -> Iterator[Result]:
    """Yield one process against the driver, its processor time, and two processes against one."""
    with Deployments(site) as deployments:
        limit, url = deployments.database("postgresql"), deployments.database("postgresql")
        one, two = deployments.service(url), deployments.service(url, processes=2)
        bare, loads = _Bare(limit, size), _Loads()
        sides = {"limit": bare.rate, "one": _posting([one], size, loads), "two": _posting([two], size)}
        figures = in_turn(size, {**sides, "form": _posting([one], size, cv_bytes=0)})
    yield _result(_work("postgresql"), LIMITS["postgresql"], figures["one"], figures["limit"], goal=0.5)
    yield Result(
        work="processor time of the service for each of these",
        beside="bare psycopg2",
        unit="ms",
        ours=loads.cpu_ms,
        theirs=bare.cpu_ms,
        goal=6,
        at_most=True,
        is_detail=True,
    )
    yield _result("the same, `intake serve --processes 2`", "one process", figures["two"], figures["one"], goal=1.3)
    yield _result("the hosted form, GET /", "POST of a 100 KB CV", figures["form"], figures["one"], goal=3)
    yield Result(
        work="cores busy at one process",
        beside="",
        unit="cores",
        ours=loads.busy,
        theirs=(),
        goal=(os.cpu_count() or 1) / 1.3,
        at_most=True,
        is_detail=True,
    )


def on_sqlite(site: Site, size: Size) -> Iterator[Result]:
    """Yield one process against the driver."""
    with Deployments(site) as deployments:
        limit, service = deployments.database("sqlite"), deployments.service(deployments.database("sqlite"))
        figures = in_turn(size, {"limit": _Bare(limit, size).rate, "ours": _posting([service], size)})
    yield _result(_work("sqlite"), LIMITS["sqlite"], figures["ours"], figures["limit"], goal=0.55)


def beside_seed_style(
    site: Site, kind: str, size: Size, *, with_mail: float, without: float, is_detail: bool = False
) -> Iterator[Result]:
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
    yield _result(
        work, "seed-style, sending mail", figures["ours"], figures["mail"], goal=with_mail, is_detail=is_detail
    )
    yield _result(work, "seed-style, without mail", figures["ours"], figures["none"], goal=without, is_detail=is_detail)
    sent, goal = f"POST of a 100 KB CV, {NAMES[kind]}, counted until all mail is sent", 1.1 if is_detail else 1.0
    yield _result(sent, "seed-style, sending mail", until_sent, figures["mail"], goal=goal, is_detail=not is_detail)


def without_mail(site: Site, size: Size) -> Iterator[Result]:
    """Yield a service without a worker on SQLite against the baseline without mail."""
    with Deployments(site) as deployments:
        ours = _posting([deployments.service(deployments.database("sqlite"))], size)
        figures = in_turn(
            size, {"ours": ours, "none": _posting([deployments.seed_style("sqlite", has_mail=False)], size)}
        )
    work = f"{_work('sqlite')}, without mail"
    yield _result(work, "seed-style, without mail", figures["ours"], figures["none"], goal=1.2)


def large_cvs(site: Site, size: Size) -> Iterator[Result]:
    """Yield CVs of 5 MB against the driver, and the memory they use."""
    with Deployments(site) as deployments:
        limit, service = deployments.database("postgresql"), deployments.service(deployments.database("postgresql"))
        figures = in_turn(
            size,
            {
                "limit": _Bare(limit, size, LARGE_CV).rate,
                "ours": _posting([service], size, connections=FEW_CONNECTIONS, cv_bytes=LARGE_CV),
            },
        )
        most = peak_bytes(service.process.pid) / MB
    work = f"POST of a 5 MB CV, PostgreSQL, {FEW_CONNECTIONS} connections"
    yield _result(work, LIMITS["postgresql"], figures["ours"], figures["limit"], goal=0.8)
    yield Result(
        work="memory of the service during this",
        beside="",
        unit="MB",
        ours=[most],
        theirs=(),
        goal=200,
        at_most=True,
        is_detail=True,
    )


def as_leads_grow(site: Site, kind: str, size: Size) -> Iterator[Result]:
    """Yield a database with many leads against one with few."""
    with Deployments(site) as deployments:
        sides = {
            leads: _posting([deployments.service(deployments.database(kind, leads=leads))], size)
            for leads in (FEW_LEADS, size.leads)
        }
        many, few = _posted(size, sides[size.leads], sides[FEW_LEADS])
    work, is_detail = f"{_work(kind)}, {size.leads:,} leads", kind == "sqlite"
    yield _result(work, f"{FEW_LEADS:,} leads", many, few, goal=0.9, is_detail=is_detail)


def _posted(size: Size, one: Callable[[], float], other: Callable[[], float]) -> tuple[list[float], list[float]]:
    figures = in_turn(size, {"one": one, "other": other})
    return figures["one"], figures["other"]


@dataclass
class _Loads:
    """Measurements of one service: busy cores, and the processor time of each submission in milliseconds."""

    busy: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


class _Bare:
    """The bare driver on one database, and the processor time of each submission in milliseconds."""

    def __init__(self, url: str, size: Size, cv_bytes: int = CV) -> None:
        self.cpu_ms: list[float] = []
        self._url, self._seconds, self._cv_bytes = url, size.seconds, cv_bytes

    def rate(self) -> float:
        rate, cpu_ms = multi_process.bare(self._url, seconds=self._seconds, cv_bytes=self._cv_bytes)
        self.cpu_ms.append(cpu_ms)
        return rate


def _posting(
    services: list[Service],
    size: Size,
    loads: _Loads | None = None,
    *,
    connections: int = CONNECTIONS,
    cv_bytes: int = CV,
) -> Callable[[], float]:
    """Warm up the services and return a function that measures one round; it appends its measurements to `loads`."""
    multi_process.warm(services, connections=connections, cv_bytes=cv_bytes)

    def post() -> float:
        worked = sum(map(multi_process.cpu_s, services))
        load = multi_process.submitted(services, seconds=size.seconds, connections=connections, cv_bytes=cv_bytes)
        if loads is not None:
            loads.busy.append(load.busy)
            loads.cpu_ms.append((sum(map(multi_process.cpu_s, services)) - worked) * 1000 / load.count)
        return load.rate

    return post


def _work(kind: str) -> str:
    return f"POST of a 100 KB CV, {NAMES[kind]}, {CONNECTIONS} connections"


def _result(
    work: str, beside: str, ours: list[float], theirs: list[float], *, goal: float, is_detail: bool = False
) -> Result:
    return Result(work=work, beside=beside, unit=UNIT, ours=ours, theirs=theirs, goal=goal, is_detail=is_detail)

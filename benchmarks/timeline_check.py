"""Processor time of the check for a promoted server, which begins each writing transaction, compared with a submission.

The check is far below the noise of throughput. So pairs of empty transactions run on one connection, with and without
it. The scheduler counts the processor time of the server's process to the nanosecond, and the difference is the check.
Pairs without it are also compared: their difference is the error of the method. A submission counts with its processor
time in the service and in the database server.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Engine

from benchmarks import multi_process
from benchmarks.measure import Result, Size, in_turn
from benchmarks.multi_process import Deployments
from benchmarks.submissions import CONNECTIONS, CV
from intake.database.engine import open_engine
from intake.settings import Settings
from stress.durability.deployment import Site
from stress.durability.tally import SMALL
from tests.postgres import maintenance
from tests.system.programs import Service

PAIRS_A_SECOND = 800  # of a round


def results(size: Size) -> Iterator[Result]:
    """Yield the time of the check, and the error of the method."""
    pairs = int(size.seconds * PAIRS_A_SECOND)
    with Site(SMALL) as site, Deployments(site) as deployments:
        url = deployments.database("postgresql")
        service = deployments.service(url)
        multi_process.warm([service], connections=CONNECTIONS, cv_bytes=CV)
        engine = open_engine(Settings(database_url=url), connections=1)
        _difference_ms(engine, pairs, checked=True)  # warm up
        sides: dict[str, Callable[[], float]] = {
            "check": lambda: _difference_ms(engine, pairs, checked=True),
            "error": lambda: abs(_difference_ms(engine, pairs, checked=False)),
            "submission": lambda: _submission_ms(site, service, size),
        }
        figures = in_turn(size, sides)
        engine.dispose()
    for name, work in (("check", "the check for a promoted server"), ("error", "no check: the error of the method")):
        yield Result(
            work=f"{work}, PostgreSQL",
            beside="a submission's processor time",
            unit="ms",
            ours=figures[name],
            theirs=figures["submission"],
            goal=0.01,
            at_most=True,
            is_detail=True,
        )


def _difference_ms(engine: Engine, pairs: int, *, checked: bool) -> float:
    """Return how much more processor time an empty transaction takes if it begins with the check (or without)."""
    one, other = (engine.execution_options(writing=True, checked=begins) for begins in (False, checked))
    differences = 0.0
    for number in range(pairs):
        for side in (one, other) if number % 2 else (other, one):
            taken = _transaction_ms(side)
            differences += taken if side is other else -taken
    return differences / pairs


def _transaction_ms(engine: Engine) -> float:
    with engine.connect() as connection:
        process = Path(f"/proc/{connection.connection.driver_connection.info.backend_pid}/schedstat")  # type: ignore[union-attr]
        before = int(process.read_text().split()[0])
        with connection.begin():
            connection.exec_driver_sql("SELECT 1")
        return (int(process.read_text().split()[0]) - before) / 1e6


def _submission_ms(site: Site, service: Service, size: Size) -> float:
    """Return the processor time of a submission, in the service and in the database server."""
    worked = _cpu_s(site, service)
    load = multi_process.submitted([service], seconds=size.seconds, connections=CONNECTIONS, cv_bytes=CV)
    return (_cpu_s(site, service) - worked) * 1000 / load.count


def _cpu_s(site: Site, service: Service) -> float:
    with maintenance(site.postgres.url("postgres")) as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        return multi_process.cpu_s(service) + sum(multi_process.process_cpu_s(pid) for [pid] in cursor.fetchall())

"""Submission latency with a hanging relay, compared with a healthy relay.

Two services with separate databases differ only in their relay. Their submissions alternate, so that other load on the
machine affects both. The figures of a round are the medians of its submissions.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from benchmarks.measure import Result, Size
from benchmarks.smtp_sink import SmtpSink
from intake.database.migrations import migrate
from intake.settings import Settings
from tests.conftest import SECRET
from tests.postgres import PostgresServer, database_url, maintenance
from tests.system.programs import Service, clean_environment

SUBMISSIONS_A_SECOND = 16  # of a round; few enough for a slow disk
CV = bytes(100_000)


def results(size: Size) -> Iterator[Result]:
    """Yield the submission latency on each database."""
    for kind in ("sqlite", "postgresql"):
        with ExitStack() as stack:
            healthy, hanging = (stack.enter_context(serve(kind, SmtpSink(hangs=hangs))) for hangs in (False, True))
            measure_round(healthy, hanging, -1, 5)  # warm up
            count = int(size.seconds * SUBMISSIONS_A_SECOND)
            rounds = [measure_round(healthy, hanging, number, count) for number in range(size.rounds)]
        yield Result(
            work=f"a submission while the relay hangs ({kind})",
            beside="the same with a healthy relay",
            unit="ms",
            ours=[slow for _, slow in rounds],
            theirs=[quick for quick, _ in rounds],
            goal=1.10,
            at_most=True,
            is_detail=True,
        )


@contextmanager
def serve(kind: str, relay: SmtpSink) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as directory, database(kind, Path(directory)) as url:
        migrate(Settings(database_url=url))
        settings = {
            "INTAKE_DATABASE_URL": url,
            "INTAKE_JWT_SECRET": SECRET,
            "INTAKE_SMTP_URL": f"smtp://127.0.0.1:{relay.port}?starttls=off",
            "INTAKE_ATTORNEY_EMAILS": "attorney@firm.example",
            "INTAKE_ALERT_INTERVAL": "0",
        }
        with Service(clean_environment(Path(directory), **settings), Path(directory)) as service:
            yield service
            service.process.kill()  # a regular stop would wait for the hanging mails
            service.process.wait()


@contextmanager
def database(kind: str, directory: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{directory}/intake.db"
        return
    server = PostgresServer()
    try:
        server.start(fsync="on")
        with maintenance(server.url("postgres")) as cursor:
            cursor.execute("CREATE DATABASE intake TEMPLATE template0")
        yield database_url(server.url("postgres"), "intake")
    finally:
        server.close()


def measure_round(healthy: Service, hanging: Service, number: int, count: int) -> tuple[float, float]:
    """Return the medians of a round in milliseconds."""
    times: tuple[list[float], list[float]] = ([], [])
    with httpx2.Client() as client:
        for n in range(count):
            for service, taken in zip((healthy, hanging), times, strict=True):
                began = time.perf_counter()
                submit(client, service.url, f"{number}.{n}@example.com")
                taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[0]), statistics.median(times[1])


def submit(client: httpx2.Client, url: str, email: str) -> None:
    form = {"email": email, "f_name": "Ada", "l_name": "Lovelace"}
    answer = client.post(f"{url}/leads/", data=form, files={"CV": ("cv.pdf", CV)})
    assert answer.status_code == 204, answer.text

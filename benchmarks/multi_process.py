"""Services and baselines that receive submissions, each a process with its own database on one server."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.sample_data import fill
from benchmarks.smtp_sink import SmtpSink
from intake.database import Database
from intake.database.migrations import migrate
from intake.mail import admin
from intake.settings import Settings
from stress.durability.deployment import Site
from tests.conftest import SECRET
from tests.system.programs import Service, clean_environment

ROOT = Path(__file__).parents[1]
SEED_STYLE_FLAGS = ("--app-dir", str(ROOT), "--port", "0", "--no-access-log")
WARM_UP_S = 0.3
ENDS_WITHIN_S = 120
SETTLES_WITHIN_S = 120
POLL_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Load:
    """Submissions per second, their number, the load generator's share of a core, and the number of busy cores."""

    rate: float
    count: int
    share: float
    busy: float


class SeedStyle(Service):
    """A typical FastAPI service, run as in production."""

    program = (sys.executable, "-m", "uvicorn", "benchmarks.baselines.seed_style:app")


class Deployments:
    """Processes that receive submissions, and a relay that accepts all mail; all end together."""

    def __init__(self, site: Site) -> None:
        self._stack = ExitStack()
        self._site = site
        self._relay = SmtpSink()

    def database(self, kind: str, *, leads: int = 0) -> str:
        """Return the URL of a new database of the service with this number of leads."""
        url = self._site.new_database(kind)
        migrate(Settings(database_url=url))
        if leads:
            fill(url, leads)
        return url

    def service(self, url: str, *, has_worker: bool = False, processes: int = 1) -> Service:
        """Start a service that sends one alert per lead, as the baseline does."""
        environment = clean_environment(
            self._site.directory,
            INTAKE_DATABASE_URL=url,
            INTAKE_JWT_SECRET=SECRET,
            INTAKE_SMTP_URL=f"smtp://127.0.0.1:{self._relay.port}?starttls=off",
            INTAKE_ATTORNEY_EMAILS="attorney@firm.example",
            INTAKE_ALERT_INTERVAL="0",
        )
        flag = "--worker" if has_worker else "--no-worker"
        flags = ("serve", flag, "--processes", str(processes))
        return self._stack.enter_context(Service(environment, self._site.directory, *flags))

    def seed_style(self, kind: str, *, has_mail: bool) -> Service:
        """Start the baseline on its own database."""
        environment = clean_environment(
            self._site.directory,
            SEED_DATABASE_URL=self._site.new_database(kind),
            SEED_SMTP_PORT=str(self._relay.port if has_mail else 0),
        )
        return self._stack.enter_context(SeedStyle(environment, self._site.directory, *SEED_STYLE_FLAGS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()


def submitted(services: list[Service], *, seconds: float, connections: int, cv_bytes: int) -> Load:
    """Submit to the services from a separate process. Raises CalledProcessError for any response but a 204."""
    numbers = map(str, (seconds, connections, cv_bytes))
    return Load(**json.loads(_output("benchmarks.submission_load", *numbers, *(service.url for service in services))))


def warm(services: list[Service], *, connections: int, cv_bytes: int) -> None:
    """Warm up the services' connections."""
    submitted(services, seconds=WARM_UP_S, connections=connections, cv_bytes=cv_bytes)


def bare(url: str, *, seconds: float, cv_bytes: int) -> tuple[float, float]:
    """Return the submissions per second of the bare driver, in a separate process, and its milliseconds for each."""
    rate, cpu_ms = _output("benchmarks.baselines.bare", url, str(cv_bytes), str(seconds)).split()
    return float(rate), float(cpu_ms)


def cpu_s(service: Service) -> float:
    """Return the processor time of a service so far, in seconds."""
    return process_cpu_s(service.process.pid)


def process_cpu_s(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def settled_after(url: str) -> float:
    """Wait until no mail is queued and return the seconds."""
    began = time.perf_counter()
    with closing(Database(Settings(database_url=url), connections=1)) as database:
        while queued := admin.count_unsent(database).queued:
            assert time.perf_counter() - began < SETTLES_WITHIN_S, f"{queued} mails are still queued"
            time.sleep(POLL_S)
    return time.perf_counter() - began


def _output(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=ENDS_WITHIN_S
    ).stdout

"""A backup of a large SQLite database while the service accepts submissions."""

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2

from benchmarks.sample_data import fill
from stress.drill.report import Figure, failures
from stress.drill.traffic import Traffic
from tests.conftest import SECRET
from tests.migrations.made import ROOT
from tests.system.programs import clean_environment
from tests.upgrade.versions import Version

LEADS, CV_BYTES = 5_000, 100_000
BEFORE_S = 10.0
BACKUP_WITHIN_S, P99_WITHIN_MS = 60, 1_000


def back_up_large_database() -> Iterator[Figure]:
    """Back up 500 MB under traffic, and compare the response times with those before."""
    step = "backup of 500 MB SQLite"
    with tempfile.TemporaryDirectory(prefix="intake-drill-") as temporary:
        directory = Path(temporary)
        file, backup = directory / "intake.db", directory / "backup"
        url = f"sqlite:///{file}"
        # the CVs are random bytes, whose text can't be extracted
        settings = {"INTAKE_DATABASE_URL": url, "INTAKE_JWT_SECRET": SECRET, "INTAKE_CV_TEXT": "off"}
        version = Version(ROOT, clean_environment(directory, **settings), directory)
        version.run("migrate")
        fill(url, LEADS)
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE cv_content SET content = randomblob(?)", [CV_BYTES])
        yield Figure(step, "size of the database", file.stat().st_size / 1e6, unit="MB")
        with version.start("serve") as service, Traffic(lambda: httpx2.Client(base_url=service.url)) as traffic:
            time.sleep(1)
            began = time.monotonic()
            time.sleep(BEFORE_S)
            yield Figure(step, "p99 of a submission before", traffic.p99_s(began) * 1000, unit="ms")
            began = time.monotonic()
            version.run("backup", str(backup))
            taken = time.monotonic() - began
            p99_ms, failed, count = traffic.p99_s(began) * 1000, traffic.failures(began), len(traffic.since(began))
            yield Figure(step, "time of the backup", taken, BACKUP_WITHIN_S, "s")
            yield failures(step, f"submissions that failed, of {count}", failed)
            yield Figure(step, "p99 of a submission meanwhile", p99_ms, P99_WITHIN_MS, "ms")
        version.run("restore", "--verify", str(backup))

"""Point-in-time recovery of PostgreSQL by the commands of docs/operations.md, run as they are on a real server."""

import os
import re
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from intake.cvs import store_marker
from intake.database import Database
from intake.settings import Settings
from stress.drill.site import leads
from tests.conftest import SECRET
from tests.postgres import PostgresServer, client_programs, database_url, maintenance
from tests.system.programs import BIN, Service, clean_environment

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
SECTION = PAGE.partition("\n### Point-in-time recovery\n")[2].partition("\n## ")[0]
CODE = [textwrap.dedent(text) for text in re.findall(r"^ *```\n(.*?)^ *```$", SECTION, re.MULTILINE | re.DOTALL)]
SETTINGS, BASE_BACKUP, RECOVER, LOOK, ACCEPT, AFTERWARDS = CODE
LEADS = 5
WITHIN_S = 60


class Recipe:
    """A server whose database `intake` the recipe recovers, and the service on it."""

    def __init__(self, server: PostgresServer, home: Path) -> None:
        self.server = server
        self.url = database_url(server.url("postgres"), "intake")
        self.environment = clean_environment(
            home,
            PATH=f"{BIN}:{client_programs()}:{os.environ['PATH']}",
            PGHOST=str(server.directory),
            PGUSER="postgres",
            INTAKE_DATABASE_URL=self.url,
            INTAKE_JWT_SECRET=SECRET,
            INTAKE_CV_STORE=(home / "cvs").as_uri(),
            INTAKE_CV_TEXT="off",
        )
        self.home, self.time, self.base = home, "", ""

    def placed(self, text: str) -> str:
        """Return a text of the page with this server's paths and the time of the recovery."""
        for placeholder, own in (
            ("base-2026-11-22", self.base),
            ("/backup", f"{self.server.directory}/backup"),
            ("/var/lib/postgresql/15/main", f"{self.server.directory}/data"),
            ("2026-11-29 09:30:00+00", self.time),
        ):
            text = text.replace(placeholder, own)
        return text

    def run(self, text: str, *, user: str | None) -> str:
        """Run commands of the page; return their output, or fail with their errors."""
        command = ["bash", "-euc", self.placed(text)]
        done = subprocess.run(
            command, env=self.environment, cwd="/", user=user, capture_output=True, text=True, timeout=WITHIN_S
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def submit(self, service: Service, name: str) -> set[str]:
        """Submit leads, and return their addresses; all are acknowledged."""
        emails = {f"{name}{number}@example.com" for number in range(LEADS)}
        for email in emails:
            form = {"email": email, "f_name": "Ada", "l_name": "Lovelace"}
            answer = httpx2.post(f"{service.url}/leads/", data=form, files={"CV": ("cv.pdf", b"a CV")}, timeout=60)
            assert answer.status_code == 204, answer.text
        return emails


def base_backup() -> str:
    """Return the commands of a base backup; the package of PostgreSQL on PyPI has a verification that crashes."""
    found = subprocess.run([client_programs() / "pg_verifybackup", "--version"], capture_output=True)
    if found.returncode == 0:
        return BASE_BACKUP
    return BASE_BACKUP.replace("pg_verifybackup", "echo backup successfully verified, not by")


@pytest.fixture
def recipe(tmp_path: Path) -> Iterator[Recipe]:
    """A server that archives its WAL, with a base backup."""
    with closing(PostgresServer()) as server:
        recipe = Recipe(server, tmp_path)
        recipe.run("mkdir -p /backup/wal", user=server.user)
        with (server.directory / "data/postgresql.conf").open("a") as file:
            file.write(recipe.placed(SETTINGS))
        server.start(fsync="on")
        with maintenance(server.url("postgres")) as cursor:
            cursor.execute("CREATE DATABASE intake TEMPLATE template0")
        recipe.run("intake migrate", user=None)
        assert "backup successfully verified" in recipe.run(base_backup(), user=server.user)
        [recipe.base] = [path.name for path in (server.directory / "backup").glob("base-*")]
        yield recipe


@pytest.mark.parametrize("end", [PostgresServer.stop, PostgresServer.kill])
def test_the_documented_recovery_returns_to_the_chosen_time(
    recipe: Recipe, end: Callable[[PostgresServer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = recipe.server
    monkeypatch.setattr(store_marker, "RENEW_NONCE_S", -1)
    with Service(recipe.environment, recipe.home) as service:
        acknowledged = recipe.submit(service, "before")
        time.sleep(0.5)  # so that the time is between two commits
        recipe.time = datetime.now(UTC).isoformat(" ")
        time.sleep(0.5)
        recipe.submit(service, "after")
        with closing(Database(Settings(database_url=recipe.url), connections=1)) as database:
            for _ in range(2):  # as after two minutes, so that the recovered database does not match the store
                store_marker.mark(database, recipe.environment["INTAKE_CV_STORE"])
    highest = max(leads(recipe.url))
    end(server)

    recipe.run(RECOVER, user=server.user)
    server.start(fsync="on")
    while "not paused" in (seen := recipe.run(LOOK, user=server.user)):
        time.sleep(0.1)
    assert "paused" in seen
    assert set(leads(recipe.url).values()) == acknowledged
    recipe.run(ACCEPT, user=server.user)
    printed = recipe.run(AFTERWARDS, user=None)
    assert "the database is migrated" in printed
    assert "was promoted (its timeline was 00000001): skipping 1000000 ids" in printed

    with Service(recipe.environment, recipe.home) as service:
        again = recipe.submit(service, "again")
    assert not (recipe.home / "cvs" / store_marker.HOLD).exists()
    found = leads(recipe.url)
    assert set(found.values()) == acknowledged | again
    new = [number for number, email in found.items() if email in again]
    assert min(new) > highest + 900_000
    assert "recovery_target" not in (server.directory / "data/postgresql.auto.conf").read_text()

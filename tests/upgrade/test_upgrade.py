"""An upgrade from the previous version without downtime: old replicas under load during migrations."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from secrets import token_hex

import httpx2
import psycopg2
import pytest

from intake.database.engine import MIGRATION_LOCK_TIMEOUT_S
from tests.conftest import PASSWORD, SECRET, Databases
from tests.system import programs
from tests.system.programs import Service, clean_environment
from tests.upgrade.versions import PreviousVersionMissing, Version, git, next_tree, previous_tree

READER_S = MIGRATION_LOCK_TIMEOUT_S + 1.0
LOADED_S = 2.0  # after each step of the upgrade


class Load:
    """Senders, an attorney and a readiness probe, who use all `replicas` until the end; every failure is recorded."""

    def __init__(self, token: str) -> None:
        self.replicas: list[Service] = []
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._headers = {"Authorization": f"Bearer {token}"}
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor()
        self._turns = threading.Lock()
        self._in_progress: Counter[str] = Counter()

    def start(self) -> None:
        """Start sending requests."""
        self._running = [self._pool.submit(self._repeat, use) for use in (self._submit, self._submit, self._triage)]
        self._running.append(self._pool.submit(self._repeat, self._probe))

    def add(self, replica: Service) -> None:
        """Send requests to a replica, too, and wait until it has had some."""
        self.replicas.append(replica)
        time.sleep(LOADED_S)

    def remove(self, replica: Service) -> None:
        """Send no more requests to a replica, as a balancer does before it is stopped."""
        with self._turns:
            self.replicas.remove(replica)
        while self._in_progress[replica.url]:
            time.sleep(0.05)

    def finish(self) -> None:
        """Stop, and raise what a thread has raised."""
        self._ended.set()
        for running in self._running:
            running.result()

    def _repeat(self, use: Callable[[httpx2.Client, str], None]) -> None:
        with httpx2.Client(timeout=60) as client:
            turn = 0
            while not self._ended.wait(0.02):
                with self._turns:
                    url = self.replicas[turn % len(self.replicas)].url
                    self._in_progress[url] += 1
                turn += 1
                use(client, url)
                with self._turns:
                    self._in_progress[url] -= 1

    def _request(self, client: httpx2.Client, method: str, url: str, **more: object) -> httpx2.Response | None:
        name = f"{method} {url.partition('//')[2].partition('/')[2]}"
        try:
            response = client.request(method, url, **more)  # type: ignore[arg-type]
        except httpx2.HTTPError as error:
            self.failures.append(f"{name}: {error!r}")
            return None
        self.counts[method] += 1
        if response.status_code >= 300:
            self.failures.append(f"{name}: {response.status_code} {response.text}")
        return response

    def _submit(self, client: httpx2.Client, url: str) -> None:
        form = {"email": f"{token_hex(8)}@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        self._request(client, "POST", f"{url}/leads/", data=form, files={"CV": ("cv.pdf", b"%PDF-1.4 a CV")})

    def _triage(self, client: httpx2.Client, url: str) -> None:
        listed = self._request(client, "GET", f"{url}/internal/leads/?limit=20&state=PENDING", headers=self._headers)
        for one in listed.json()[:1] if listed and listed.status_code == 200 else ():
            path = f"{url}/internal/leads/{one['id']}"
            self._request(client, "PATCH", path, json={"status": "REACHED_OUT"}, headers=self._headers)

    def _probe(self, client: httpx2.Client, url: str) -> None:
        self._request(client, "GET", f"{url}/readyz")


def read_leads(url: str) -> None:
    """Read leads in a transaction that lasts until a migration has waited for its lock in vain."""
    waiting = "SELECT FROM pg_locks WHERE relation = 'lead'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted"
    deadline = time.monotonic() + 120
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM lead")
        cursor.execute(waiting)
        while not cursor.rowcount and time.monotonic() < deadline:
            time.sleep(0.05)
            cursor.execute(waiting)
        time.sleep(READER_S)


def log_in(replica: Service) -> str:
    credentials = {"username": "ada", "password": PASSWORD}
    response = httpx2.post(f"{replica.url}/internal/auth/login", json=credentials, timeout=60)
    return str(response.json()["access_token"])


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_the_previous_version_runs_while_this_one_and_a_further_migration_are_applied(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "START_WITHIN_S", 120)
    url = databases.empty_url()
    environment = clean_environment(tmp_path, INTAKE_DATABASE_URL=url, INTAKE_JWT_SECRET=SECRET)
    try:
        old = Version(previous_tree(tmp_path / "old"), environment, tmp_path)
    except PreviousVersionMissing as missing:
        pytest.fail(str(missing), pytrace=False)
    new = Version(next_tree(tmp_path / "new"), environment, tmp_path)
    old.run("migrate")
    old.run("create-user", "ada", "--password-stdin", typed=PASSWORD)
    with ExitStack() as stack:
        kept, killed = stack.enter_context(old.start()), stack.enter_context(old.start())
        load = Load(log_in(kept))
        load.replicas += [kept, killed]
        load.start()
        stack.callback(load.finish)  # after an error; otherwise before the replicas stop

        with ThreadPoolExecutor() as pool:
            reading = pool.submit(read_leads, url.replace("+psycopg2", ""))
            log = new.run("migrate")
            reading.result()
        assert "locks that the migration needs" in log, "the reader was to delay the migration"

        load.remove(killed)
        killed.process.kill()
        assert "nothing was changed" in old.run("migrate"), "as an init container of the old version does"
        load.add(stack.enter_context(old.start()))
        load.add(stack.enter_context(new.start()))
        load.remove(kept)
        kept.stop()
        time.sleep(LOADED_S)
        load.finish()
    assert load.failures == []
    assert min(load.counts[method] for method in ("GET", "POST", "PATCH")) > 10, load.counts


def test_a_missing_previous_version_is_named(tmp_path: Path) -> None:
    export, clone, shallow = (tmp_path / name for name in ("export", "clone", "shallow"))
    (export / ".ci").mkdir(parents=True)
    (export / ".ci/previous-commit").write_text("0" * 40)
    with pytest.raises(PreviousVersionMissing, match="has no Git history"):
        previous_tree(tmp_path / "tree", export)
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    git(export, "init", "--quiet")
    for _ in range(2):
        git(export, "add", ".")
        git(export, *identity, "commit", "--quiet", "--allow-empty", "--message", "Test")
    git(export, "clone", "--quiet", export.as_uri(), str(clone))
    git(export, "clone", "--quiet", "--depth=1", export.as_uri(), str(shallow))
    with pytest.raises(PreviousVersionMissing, match=r"HEAD does not descend .* correct \.ci/previous-commit"):
        previous_tree(tmp_path / "tree", clone)
    with pytest.raises(PreviousVersionMissing, match="run git fetch --unshallow"):
        previous_tree(tmp_path / "tree", shallow)

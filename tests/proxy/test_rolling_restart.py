"""Rolling restarts of replicas behind the documented proxies: no request fails.

Caddy before 2.11.2 needs a process that does not drain; the others send requests to draining ones, too.
"""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

from tests.conftest import SECRET
from tests.proxy.programs import (
    INTERNAL,
    Proxy,
    client,
    documented_caddy,
    documented_haproxy,
    documented_nginx,
    upload_slowly,
)
from tests.system.programs import INTAKE, Service, clean_environment, free_port, overlapping

DRAIN_S = 5  # longer than the proxies keep an idle connection
APART_S = 2
NOTICED_S = 3  # longer than Caddy's interval of health checks
SLOW_S = 9.0  # an upload that outlasts the drain of each replica
PAUSE_S = 0.1  # between the requests of one client
ALL_SUCCEEDED = {"submission: 204", "list: 200", "slow upload: 204"}
FORM = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
PASSWORD = "correct horse battery"


class Replicas:
    """Services on fixed ports that use one database."""

    def __init__(self, directory: Path, count: int) -> None:
        self._directory = directory
        self._environment = clean_environment(
            directory,
            INTAKE_JWT_SECRET=SECRET,
            INTAKE_TRUSTED_PROXIES="127.0.0.1",
            INTAKE_DRAIN=f"{DRAIN_S}s",
            INTAKE_MIN_BODY_RATE="1",
        )
        self._ports = [free_port() for _ in range(count)]
        self._running: list[Service] = []
        self.addresses = [f"127.0.0.1:{port}" for port in self._ports]

    def start(self) -> None:
        """Start all replicas, one after another."""
        self._running = [self._started(port) for port in self._ports]
        create = [INTAKE, "create-user", "ada", "--password-stdin"]
        subprocess.run(create, input=PASSWORD.encode(), env=self._environment, cwd=self._directory, check=True)

    def restart_overlapping(self) -> None:
        """Restart all of them, each APART_S after the one before."""
        overlapping(self._restart, len(self._ports), apart_s=APART_S)

    def restart_one_by_one(self) -> None:
        """Restart all of them, each once the one before is up again."""
        for number in range(len(self._ports)):
            self._restart(number)
            time.sleep(NOTICED_S)

    def stop(self) -> None:
        """End all of them at once."""
        for service in self._running:
            service.process.kill()
            service.process.wait()

    def _restart(self, number: int) -> None:
        self._running[number].stop()
        self._running[number] = self._started(self._ports[number])

    def _started(self, port: int) -> Service:
        flags = ("serve", "--no-worker", "--port", str(port))
        return Service(self._environment, self._directory, *flags).__enter__()


@contextmanager
def running(directory: Path, count: int) -> Iterator[Replicas]:
    replicas = Replicas(directory, count)
    try:
        replicas.start()
        yield replicas
    finally:
        replicas.stop()


def submit(proxy: Proxy, end: Event) -> list[str]:
    """Submit leads until the end, and return their statuses."""
    statuses = []
    with client(proxy) as public:
        while not end.wait(PAUSE_S):
            answer = public.post("/leads/", data=FORM, files={"CV": ("cv.pdf", b"a CV")})
            statuses.append(f"submission: {answer.status_code}")
    return statuses


def read(proxy: Proxy, end: Event) -> list[str]:
    """Read the list until the end, and return the statuses."""
    statuses = []
    with client(proxy, INTERNAL) as internal:
        login = internal.post("/internal/auth/login", json={"username": "ada", "password": PASSWORD})
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        while not end.wait(PAUSE_S):
            answer = internal.get("/internal/leads/?limit=5", headers=headers)
            statuses.append(f"list: {answer.status_code}")
    return statuses


def statuses_during(restart: Callable[[], None], proxies: Sequence[Proxy]) -> list[str]:
    """Return the statuses of all requests during a restart."""
    end = Event()
    with ThreadPoolExecutor(len(proxies) * 3) as pool:
        try:
            time.sleep(NOTICED_S)
            loads = [pool.submit(load, proxy, end) for proxy in proxies for load in (submit, read)]
            uploads = [pool.submit(upload_slowly, proxy, SLOW_S) for proxy in proxies]
            time.sleep(1)
            restart()
            time.sleep(1)
        finally:
            end.set()
        statuses = [status for done in loads for status in done.result()]
        return [*statuses, *(f"slow upload: {done.result()}" for done in uploads)]


def test_overlapping_restarts_behind_nginx_and_haproxy_fail_no_request(tmp_path: Path) -> None:
    with running(tmp_path, 4) as replicas, ExitStack() as stack:
        proxies = [stack.enter_context(make(*replicas.addresses)) for make in (documented_nginx, documented_haproxy)]
        statuses = statuses_during(replicas.restart_overlapping, proxies)
    assert Counter(statuses).keys() == ALL_SUCCEEDED
    assert len(statuses) > 100


def test_restarts_one_by_one_behind_caddy_fail_no_request(tmp_path: Path) -> None:
    with running(tmp_path, 2) as replicas, documented_caddy(*replicas.addresses) as proxy:
        statuses = statuses_during(replicas.restart_one_by_one, [proxy])
    assert Counter(statuses).keys() == ALL_SUCCEEDED
    assert len(statuses) > 100

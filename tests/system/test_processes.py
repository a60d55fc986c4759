"""`intake serve --processes`: one address, one worker, restarts and shutdowns of real processes."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.conftest import SECRET, Databases
from tests.system.programs import INTAKE, Service, clean_environment, free_port, until
from tests.system.test_connections import BODY, POST
from tests.system.wire import Wire

WITHIN_S = 60
CV = {"CV": ("cv.pdf", b"%PDF-1.4 a CV")}


class Group(Service):
    """`intake serve --processes 2`, and what its processes are."""

    @property
    def members(self) -> list[int]:
        """The ids of its processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split() if is_alive(int(pid))]

    @property
    def workers(self) -> list[int]:
        """The ids of the processes that run the workers."""
        found = re.findall(r"has pid (\d+) and runs the workers", "".join(self.log))
        return [int(pid) for pid in found if int(pid) in self.members]

    def await_other_than(self, killed: int) -> None:
        """Wait until two processes run, without this one."""
        until(lambda: len(members := self.members) == 2 and killed not in members)

    def submit(self, number: int = 0) -> int:
        """Submit a lead over a new connection, and return the status."""
        form = {"email": f"a{number}@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        return httpx2.post(f"{self.url}/leads/", data=form, files=CV, timeout=WITHIN_S).status_code

    def metrics(self) -> str:
        """Return the metrics of one of its processes."""
        return httpx2.get(f"{self.url}/metrics", timeout=WITHIN_S).text


def start(directory: Path, *flags: str, **settings: str) -> Group:
    environment = clean_environment(directory, INTAKE_JWT_SECRET=SECRET, **settings)
    return Group(environment, directory, "serve", "--processes", "2", *flags)


@pytest.fixture
def group(databases: Databases, tmp_path: Path) -> Iterator[Group]:
    with start(tmp_path, INTAKE_DATABASE_URL=databases.migrated_url()) as started:
        until(lambda: len(started.members) == 2)
        yield started


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the second if it ends during the read
        return False


def test_both_processes_serve_one_address_and_log_complete_lines(group: Group) -> None:
    def numbers() -> set[str]:
        return set(re.findall(r'intake_process\{number="(\d)",of="2"\} 1.0', group.metrics()))

    seen: set[str] = set()

    def has_seen_both() -> bool:
        seen.update(numbers())
        return seen == {"0", "1"}

    until(has_seen_both)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(group.submit, range(40))) == {204}
    group.stop()
    lines = [line for line in group.log if "intake.access" in line and "/leads/" in line]
    assert len(lines) == 40
    assert all(re.fullmatch(r"\S+ \S+ INFO intake.access: POST /leads/ 204 \d+ ms \w{16}\n", line) for line in lines)


def test_a_killed_process_is_restarted_while_the_other_serves(group: Group) -> None:
    until(lambda: len(group.workers) == 1)
    [other] = set(group.members) - set(group.workers)
    os.kill(other, signal.SIGKILL)
    group.await_other_than(other)
    assert [group.submit(number) for number in range(10)] == [204] * 10
    assert any("exit code -9" in line for line in group.log)


def test_the_worker_runs_in_one_process_and_survives_its_death(group: Group) -> None:
    until(lambda: len(group.workers) == 1)
    [worker] = group.workers
    os.kill(worker, signal.SIGKILL)
    until(lambda: len(group.workers) == 1 and worker not in group.workers)
    assert group.submit() == 204
    until(lambda: any("workers.mail: mail" in line and line.endswith(" sent\n") for line in group.log))


def test_repeated_deaths_are_restarted_after_growing_pauses(group: Group) -> None:
    for _ in range(3):
        _, killed = group.members
        os.kill(killed, signal.SIGKILL)
        group.await_other_than(killed)
    pauses = [float(found[1]) for line in group.log if (found := re.search(r"restarted in ([\d.]+) s", line))]
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_in_time(group: Group, number: signal.Signals) -> None:
    members = group.members
    began = time.monotonic()
    os.kill(group.process.pid, number)
    assert group.process.wait(30) == -number
    assert time.monotonic() - began < 20
    assert not any(map(is_alive, members))


class Container(Group):
    """The same as process 1 of its own namespace, as in a container."""

    program = ("unshare", "--pid", "--fork", "--mount-proc", INTAKE)


def can_unshare() -> bool:
    try:
        return subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_unshare(), reason="this user can't create PID namespaces")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_process_1_of_a_container(tmp_path: Path, number: signal.Signals) -> None:
    environment = clean_environment(tmp_path, INTAKE_JWT_SECRET=SECRET)
    with Container(environment, tmp_path, "serve", "--processes", "2") as container:
        [first] = container.members
        os.kill(first, number)
        assert container.process.wait(60) == 128 + number
        container._reader.join(5)
        assert "restarted" not in "".join(container.log)


def test_a_second_signal_ends_all_at_once(databases: Databases, tmp_path: Path) -> None:
    with start(tmp_path, INTAKE_DATABASE_URL=databases.migrated_url(), INTAKE_SHUTDOWN_GRACE="60s") as group:
        until(lambda: len(group.members) == 2)
        members = group.members
        for pid in members:
            os.kill(pid, signal.SIGSTOP)  # so that they can't stop
        group.process.terminate()
        time.sleep(1)
        assert group.process.poll() is None
        group.process.terminate()
        assert group.process.wait(20) == -signal.SIGTERM
        assert not any(map(is_alive, members))


def test_processes_that_do_not_stop_end_after_the_grace_period(databases: Databases, tmp_path: Path) -> None:
    with start(tmp_path, INTAKE_DATABASE_URL=databases.migrated_url(), INTAKE_SHUTDOWN_GRACE="5s") as group:
        until(lambda: len(group.members) == 2)
        for pid in group.members:
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        group.process.terminate()
        group.process.wait(30)
        assert 4 < time.monotonic() - began < 20


def test_no_process_outlives_the_first_one(group: Group) -> None:
    members = group.members
    group.process.kill()
    until(lambda: not any(map(is_alive, members)))


def test_an_error_at_the_start_ends_all(databases: Databases, tmp_path: Path) -> None:
    url = databases.migrated_url()
    environment = {"INTAKE_DATABASE_URL": url, "INTAKE_MAIL_TEMPLATES": str(tmp_path)}
    (tmp_path / "alert.txt.jinja").write_text("{{")
    group = start(tmp_path, **environment)
    assert group.process.wait(WITHIN_S * 2) == 1
    group._reader.join(5)
    assert "alert.txt.jinja, line 1 can't be rendered" in "".join(group.log)
    assert "Traceback" not in "".join(group.log)


def test_a_port_in_use_is_one_line(group: Group, tmp_path: Path) -> None:
    port = group.url.rpartition(":")[2]
    second = start(tmp_path, "--port", port, INTAKE_DATABASE_URL="sqlite:///other.db")
    assert second.process.wait(60) == 1
    second._reader.join(5)
    assert "INTAKE_PORT: can't listen on 127.0.0.1:" in "".join(second.log)
    assert "Traceback" not in "".join(second.log)


def test_the_public_surface_and_each_processs_metrics(databases: Databases, tmp_path: Path) -> None:
    port = free_port()
    settings = {"INTAKE_DATABASE_URL": databases.migrated_url(), "INTAKE_METRICS_PORT": str(port)}
    with start(tmp_path, "--surface", "public", "--no-worker", **settings) as group:
        assert group.submit() == 204
        assert httpx2.get(f"{group.url}/internal/leads/").status_code == 404
        for number in range(2):
            address = f"http://127.0.0.1:{port + number}/metrics"
            until(lambda address=address: _answers(address))  # type: ignore[misc]
            assert f'intake_process{{number="{number}",of="2"}} 1.0' in httpx2.get(address).text
        assert not group.workers


def test_limits_are_divided_without_a_store(databases: Databases, tmp_path: Path) -> None:
    settings = {"INTAKE_DATABASE_URL": databases.migrated_url(), "INTAKE_RATE_LIMIT": "6/hour"}
    with start(tmp_path, **settings) as group:
        until(lambda: len(group.members) == 2)
        statuses = [group.submit(number) for number in range(16)]
    assert 3 <= statuses.count(204) <= 6
    assert 429 in statuses


def _answers(address: str) -> bool:
    try:
        return httpx2.get(address).is_success
    except httpx2.TransportError:
        return False


def test_a_stopping_service_refuses_connections_while_an_upload_ends(group: Group) -> None:
    with Wire(group.url) as upload:
        upload.send(POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:-1])
        time.sleep(0.5)
        group.process.terminate()
        until(lambda: not accepts(group.url))
        assert group.process.poll() is None
        assert upload.send(BODY[-1:]).answer("POST").status == 204
    assert group.process.wait(WITHIN_S) == -signal.SIGTERM


def accepts(url: str) -> bool:
    """Whether a new connection is accepted."""
    port = int(url.rpartition(":")[2])
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0

"""leadctl set-state and undo with thousands of leads, broken off in the middle, and run again."""

import json
import re
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx2
import pytest

from tests.leadctl.conftest import PASSWORD, Office
from tests.system.programs import INTAKE, LEADCTL, Service, clean_environment

LEADS = 25_000
BATCH = 10_000
NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO lead (email, f_name,"
    ' l_name, "CV_name", state, created_at, state_since, email_key, f_name_key, l_name_key)'
    f" SELECT 'a@b.c', 'A', 'B', 'cv', 'PENDING', {NOW}, {NOW}, 'a@b.c', 'a', 'b' FROM n"
)


class Gate:
    """A way to the service on which one request that changes leads is held up, and then cut or let through."""

    def __init__(self, service: Service, *, held: int = 2) -> None:
        self._target = int(service.url.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.reached, self._let_go = threading.Event(), threading.Event()
        self._seen, self._cut, self._held = 0, False, held
        threading.Thread(target=self._listen, daemon=True).start()

    def open(self, *, cut: bool = False) -> None:
        """Let what is held up through, or cut its connection."""
        self._cut = cut
        self._let_go.set()

    def close(self) -> None:
        self.open(cut=True)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pump, args=(client, server, self._hold), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, lambda _data: None), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, watch: Callable[[bytes], None]) -> None:
        with suppress(OSError), closing(target):
            while data := source.recv(65536):
                watch(data)
                target.sendall(data)

    def _hold(self, data: bytes) -> None:
        if b"POST /internal/" in data:
            self._seen += 1
        if self._seen == self._held and not self._let_go.is_set():
            self.reached.set()
            self._let_go.wait(60)
            if self._cut:
                raise OSError


@pytest.fixture
def firm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Service, Office]]:
    """A service of its own with thousands of leads, and an administrator who is logged in."""
    environment = clean_environment(tmp_path)
    with Service(environment, tmp_path, "serve", "--no-worker") as service:
        command = [INTAKE, "create-user", "peter", "--password-stdin"]
        subprocess.run(command, input=PASSWORD, text=True, env=environment, cwd=tmp_path, check=True)
        with closing(sqlite3.connect(tmp_path / "intake.db")) as connection, connection:
            connection.execute(FILL, [getattr(request, "param", LEADS)])
        office = Office(service.url, tmp_path)
        office.log_in()
        yield service, office


@pytest.fixture
def gate(request: pytest.FixtureRequest, firm: tuple[Service, Office]) -> Iterator[Gate]:
    made = Gate(firm[0], held=getattr(request, "param", 2))
    yield made
    made.close()


def moved(home: Path) -> int:
    with closing(sqlite3.connect(home / "intake.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM lead WHERE state = 'ENGAGED'").fetchone()[0])


def begin(office: Office, gate: Gate) -> subprocess.Popen[str]:
    """Have the command stand in its second request."""
    command = [LEADCTL, "--url", gate.url, "set-state", "--from", "PENDING", "ENGAGED", "-"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=office.environment | {"LEADCTL_TOKEN": token_of(office)},
    )
    assert process.stdin is not None
    process.stdin.write("\n".join(map(str, range(1, LEADS + 1))))
    process.stdin.close()
    process.stdin = None
    assert gate.reached.wait(30)
    return process


def token_of(office: Office) -> str:
    kept = json.loads((office.home / ".config/leadctl/credentials.json").read_text())
    return str(kept["profiles"]["default"]["token"])


FIRST = f"the first {BATCH} of {LEADS} are done, up to id {BATCH}; the same command again does the rest"


def finish(office: Office) -> None:
    """Run it again, whole: what is done counts as done."""
    ids = "\n".join(map(str, range(1, LEADS + 1)))
    done = office.run("set-state", "--from", "PENDING", "ENGAGED", "-", typed=ids)
    assert (done.returncode, done.stderr) == (0, f"{LEADS} of {LEADS} leads moved to ENGAGED\n")
    assert moved(office.home) == LEADS


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle(firm: tuple[Service, Office], gate: Gate, number: signal.Signals, code: int) -> None:
    _, office = firm
    process = begin(office, gate)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == code
    assert FIRST in told
    change = office.data("changes", "-n", "1", "-o", "ids").strip()
    assert told.count(f"This is change {change}; to take it back: leadctl undo {change}") == 1
    assert "Traceback" not in told
    assert moved(office.home) == BATCH
    finish(office)


@pytest.mark.parametrize("gate", [1], indirect=True)
def test_a_signal_before_the_first_response_tells_the_id_too(firm: tuple[Service, Office], gate: Gate) -> None:
    _, office = firm
    process = begin(office, gate)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 143
    assert re.fullmatch(r"change (\S{36}) may have moved leads; to take it back: leadctl undo \1\n", told), told


def test_a_connection_that_breaks_in_the_middle(firm: tuple[Service, Office], gate: Gate) -> None:
    _, office = firm
    process = begin(office, gate)
    gate.open(cut=True)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 75
    assert FIRST in told
    finish(office)


def test_a_login_that_ends_in_the_middle(firm: tuple[Service, Office], gate: Gate) -> None:
    _, office = firm
    process = begin(office, gate)
    # over HTTP, since a program's start may take longer than a connection may idle
    bearer = {"Authorization": f"Bearer {office.token()}"}
    same = {"old": PASSWORD, "new": PASSWORD}
    assert httpx2.put(f"{office.url}/internal/auth/password", json=same, headers=bearer).status_code == 200
    gate.open()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 4
    assert FIRST in told
    office.log_in()
    finish(office)


def test_thousands_are_moved_and_put_back(firm: tuple[Service, Office]) -> None:
    _, office = firm
    ids = office.data("list", "--state", "PENDING", "--sort", "id", "-o", "ids")
    done = office.run("--verbose", "set-state", "ENGAGED", "-", typed=ids)
    assert done.returncode == 0
    assert moved(office.home) == LEADS
    assert office.run("undo").stderr == f"{LEADS} of {LEADS} leads are back where they were\n"
    assert moved(office.home) == 0

"""leadctl set-state and undo with thousands of leads, interrupted and repeated."""

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

from tests.leadctl.conftest import PASSWORD, Client
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
    """A proxy that delays one request that changes leads, then drops or forwards it."""

    def __init__(self, service: Service, *, held: int = 2) -> None:
        self._target = int(service.url.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.reached, self._let_go = threading.Event(), threading.Event()
        self._seen, self._cut, self._held = 0, False, held
        threading.Thread(target=self._listen, daemon=True).start()

    def open(self, *, cut: bool = False) -> None:
        """Forward the delayed request, or drop its connection."""
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
def deployed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Service, Client]]:
    """A separate service with thousands of leads, and a client logged in as an administrator."""
    environment = clean_environment(tmp_path)
    with Service(environment, tmp_path, "serve", "--no-worker") as service:
        command = [INTAKE, "create-user", "peter", "--password-stdin"]
        subprocess.run(command, input=PASSWORD, text=True, env=environment, cwd=tmp_path, check=True)
        with closing(sqlite3.connect(tmp_path / "intake.db")) as connection, connection:
            connection.execute(FILL, [getattr(request, "param", LEADS)])
        client = Client(service.url, tmp_path)
        client.log_in()
        yield service, client


@pytest.fixture
def gate(request: pytest.FixtureRequest, deployed: tuple[Service, Client]) -> Iterator[Gate]:
    made = Gate(deployed[0], held=getattr(request, "param", 2))
    yield made
    made.close()


def moved(home: Path) -> int:
    with closing(sqlite3.connect(home / "intake.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM lead WHERE state = 'ENGAGED'").fetchone()[0])


def begin(client: Client, gate: Gate) -> subprocess.Popen[str]:
    """Start the command and wait until its second request is delayed."""
    command = [LEADCTL, "--url", gate.url, "set-state", "--from", "PENDING", "ENGAGED", "-"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=client.environment | {"LEADCTL_TOKEN": token_of(client)},
    )
    assert process.stdin is not None
    process.stdin.write("\n".join(map(str, range(1, LEADS + 1))))
    process.stdin.close()
    process.stdin = None
    assert gate.reached.wait(30)
    return process


def token_of(client: Client) -> str:
    credentials = json.loads((client.home / ".config/leadctl/credentials.json").read_text())
    return str(credentials["profiles"]["default"]["token"])


FIRST = f"completed {BATCH} of {LEADS}, up to id {BATCH}; run the same command again for the rest"


def finish(client: Client) -> None:
    """Run the same command again, which succeeds."""
    ids = "\n".join(map(str, range(1, LEADS + 1)))
    done = client.run("set-state", "--from", "PENDING", "ENGAGED", "-", typed=ids)
    found = re.fullmatch(rf"(\d+) of {LEADS} leads changed to ENGAGED; (\d+) already ENGAGED\n", done.stderr)
    assert (done.returncode, found is not None) == (0, True), done.stderr
    assert found
    assert int(found[1]) + int(found[2]) == LEADS
    assert moved(client.home) == LEADS


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reports_progress(
    deployed: tuple[Service, Client], gate: Gate, number: signal.Signals, code: int
) -> None:
    _, client = deployed
    process = begin(client, gate)
    process.send_signal(number)
    _, output = process.communicate(timeout=30)
    assert process.returncode == code
    assert FIRST in output
    change = client.data("changes", "-n", "1", "-o", "ids").strip()
    assert output.count(f"change {change}; to undo it: leadctl undo {change}") == 1
    assert "Traceback" not in output
    assert moved(client.home) == BATCH
    finish(client)


@pytest.mark.parametrize("gate", [1], indirect=True)
def test_a_signal_before_the_first_response_prints_the_change_id(deployed: tuple[Service, Client], gate: Gate) -> None:
    _, client = deployed
    process = begin(client, gate)
    process.send_signal(signal.SIGTERM)
    _, output = process.communicate(timeout=30)
    assert process.returncode == 143
    assert re.fullmatch(r"change (\S{36}) may have been applied; to undo it: leadctl undo \1\n", output), output


def test_a_broken_connection_reports_progress(deployed: tuple[Service, Client], gate: Gate) -> None:
    _, client = deployed
    process = begin(client, gate)
    gate.open(cut=True)
    _, output = process.communicate(timeout=30)
    assert process.returncode == 75
    assert FIRST in output
    finish(client)


def test_an_expired_login_reports_progress(deployed: tuple[Service, Client], gate: Gate) -> None:
    _, client = deployed
    process = begin(client, gate)
    # over HTTP, since starting leadctl may exceed the idle timeout of a connection
    bearer = {"Authorization": f"Bearer {client.token()}"}
    same = {"old": PASSWORD, "new": PASSWORD}
    assert httpx2.put(f"{client.url}/internal/auth/password", json=same, headers=bearer).status_code == 200
    gate.open()
    _, output = process.communicate(timeout=30)
    assert process.returncode == 4
    assert FIRST in output
    client.log_in()
    finish(client)


def test_thousands_are_changed_and_undone(deployed: tuple[Service, Client]) -> None:
    _, client = deployed
    ids = client.data("list", "--state", "PENDING", "--sort", "id", "-o", "ids")
    done = client.run("--verbose", "set-state", "ENGAGED", "-", typed=ids)
    assert done.returncode == 0
    assert moved(client.home) == LEADS
    assert client.run("undo").stderr == f"{LEADS} of {LEADS} leads restored to PENDING\n"
    assert moved(client.home) == 0

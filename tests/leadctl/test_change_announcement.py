"""Messages of commands that end before, or just after, the response to a request that changes data."""

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.leadctl.conftest import Client
from tests.leadctl.proxy import Proxy
from tests.system.programs import LEADCTL

SUBMIT = ["submit", "--email", "ada@example.com", "--f-name", "Ada", "--l-name", "King", "cv.pdf"]
ERASE = ["erase", "--yes", "--email", "ada@example.com"]
SAVED = (
    "the lead may have been saved; check with: leadctl list --email ada@example.com (--external-id avoids duplicates)\n"
)
ERASED = "data may have been erased; check with: leadctl erase --dry-run --email ada@example.com\n"
LEAD = {
    "id": 7,
    "email": "ada@example.com",
    "f_name": "Ada",
    "l_name": "King",
    "CV_name": "cv.pdf",
    "state": "PENDING",
    "created_at": "2026-11-01T09:00:00Z",
    "CV": {"size": 1, "sha256": "0" * 64, "detected_type": "", "flags": [], "scan_state": "clean"},
}
ERASURE = {
    "leads": [{"id": 7, "state": "PENDING"}],
    "cvs": 1,
    "mails": 0,
    "mails_sent": 0,
    "objects_left": 0,
    "in_maildir": False,
    "complete": True,
    "swept": True,
    "dry_run": False,
}


def at(url: str, home: Path) -> Client:
    """Return a client of a server, with a token and a CV."""
    client = Client(url, home)
    client.environment["LEADCTL_TOKEN"] = "t"
    (home / "cv.pdf").write_bytes(b"%PDF-1.4 a CV")
    return client


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (SUBMIT, SAVED),
        ([*SUBMIT, "--external-id", "crm-1"], SAVED.partition(";")[0] + "; run it again: a lead with an external id"),
        (ERASE, ERASED),
    ],
)
def test_an_interruption_says_what_may_have_happened(
    tmp_path: Path, command: list[str], said: str, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = at(f"http://127.0.0.1:{server.getsockname()[1]}", tmp_path)
        process = subprocess.Popen(
            [LEADCTL, *command], env=client.environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        connection = server.accept()[0]
        assert connection.recv(1), "the request has begun"
        process.send_signal(number)
        assert process.communicate(timeout=60)[1].startswith(said)
        connection.close()
    assert process.returncode == 128 + number


@pytest.mark.parametrize(
    ("command", "answer", "said"),
    [(SUBMIT, (201, LEAD), SAVED), (ERASE, (200, ERASURE), "1 lead, 1 CV, 0 mails erased\n")],
)
def test_an_output_that_fails_hides_nothing(
    tmp_path: Path, command: list[str], answer: tuple[int, object], said: str
) -> None:
    body = json.dumps(answer[1]).encode()
    head = f"HTTP/1.1 {answer[0]} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with Proxy("http://127.0.0.1:1", answers=[head.encode() + body]) as proxy, Path("/dev/full").open("w") as full:
        client = at(proxy.url, tmp_path)
        done = subprocess.run(
            [LEADCTL, *command], env=client.environment, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (
        1,
        f"{said}leadctl: can't write the output: No space left on device\n",
    )


def test_an_unreachable_server_changed_nothing(tmp_path: Path) -> None:
    client = at("http://127.0.0.1:9", tmp_path)
    for command in (SUBMIT, ERASE):
        done = client.run(*command)
        assert (done.returncode, done.stderr.count("\n")) == (75, 1)


def test_a_change_that_a_server_refused_before_it_ended_may_have_been_applied(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = at(f"http://127.0.0.1:{server.getsockname()[1]}", tmp_path)
        process = subprocess.Popen(
            [LEADCTL, "set-state", "ENGAGED", "7"],
            env=client.environment,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection = server.accept()[0]
        connection.recv(2**16)
        connection.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.close()
    assert "may have been applied; to undo it: leadctl undo" in process.communicate(timeout=60)[1]
    assert process.returncode == 75

"""leadctl submit."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.leadctl.conftest import Client
from tests.leadctl.proxy import Proxy
from tests.system.programs import LEADCTL
from tests.system.terminal import Terminal

ADA = ("--email", "ada@example.com", "--f-name", "Ada", "--l-name", "Lovelace")


def ada(option: str, value: str) -> list[str]:
    """Return Ada's options with another one."""
    options = dict(zip(ADA[::2], ADA[1::2], strict=True)) | {option: value}
    return [*chain.from_iterable(options.items())]


@pytest.fixture
def cv(client: Client) -> Path:
    path = client.home / "my résumé.pdf"
    path.write_bytes(b"%PDF-1.4 a CV")
    return path


def test_submit_prints_the_id_of_the_new_lead(client: Client, cv: Path) -> None:
    done = client.run("submit", *ADA, cv.name)
    lead_id = done.stdout.strip()
    assert (done.returncode, done.stderr) == (0, f"saved as lead {lead_id}\n")
    lead = json.loads(client.data("show", lead_id, "-o", "json"))
    assert (lead["email"], lead["f_name"], lead["l_name"]) == ("ada@example.com", "Ada", "Lovelace")
    assert (lead["CV_name"], lead["state"], lead["CV_size"]) == ("my résumé.pdf", "PENDING", 13)
    assert client.data("mail", "list", "--lead", lead_id) == ""


def test_json_output_is_the_lead(client: Client, cv: Path) -> None:
    lead = json.loads(client.data("submit", *ADA, "--state", "engaged", "-o", "json", cv.name))
    assert lead == json.loads(client.data("show", str(lead["id"]), "-o", "json"))
    assert lead["state"] == "ENGAGED"


def test_notify_queues_mails(client: Client, cv: Path) -> None:
    lead_id = client.data("submit", *ADA, "--notify", cv.name).strip()
    mails = client.data("mail", "list", "--lead", lead_id)
    assert {line.split("\t")[2] for line in mails.splitlines()} == {"confirmation", "alert"}


def test_an_external_id_is_saved_once(client: Client, cv: Path) -> None:
    first = client.data("submit", *ADA, "--external-id", "crm 1", cv.name)
    again = client.run("submit", *ADA, "--external-id", "crm 1", "--state", "ENGAGED", cv.name)
    assert (again.returncode, again.stdout) == (0, first)
    assert again.stderr == f"lead {first.strip()} already exists; unchanged\n"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere.pdf", "can't read nowhere.pdf: No such file or directory"),
        ("folder", "can't read folder: it is a directory"),
        ("empty.pdf", "empty.pdf is empty"),
        ("pipe", "can't read pipe: not a file"),
        ("x" * 300, f"can't read {'x' * 300}: File name too long"),
    ],
)
def test_an_unusable_cv_is_a_usage_error(client: Client, name: str, why: str) -> None:
    (client.home / "folder").mkdir()
    (client.home / "empty.pdf").touch()
    os.mkfifo(client.home / "pipe")
    done = client.run("submit", *ADA, name)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"leadctl: {why}\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--email", "ada"], "email: "),
        (["--f-name", " "], "f_name: is required"),
        (["--state", "LOST"], "state: 'LOST' is not a state; the states are PENDING"),
        (["--external-id", "x" * 256], "external_id: must have 1 to 255"),
    ],
)
def test_an_invalid_field_is_a_usage_error(client: Client, cv: Path, arguments: list[str], named: str) -> None:
    done = client.run("submit", *ada(*arguments), cv.name)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert named in done.stderr


def test_an_external_id_of_another_person_is_a_conflict(client: Client, cv: Path) -> None:
    lead_id = client.data("submit", *ADA, "--external-id", "taken", cv.name).strip()
    cv.write_bytes(b"%PDF-1.4 another CV")
    bob = ("--email", "bob@example.com", "--f-name", "Bob", "--l-name", "Old")
    done = client.run("submit", *bob, "--external-id", "taken", "-o", "json", cv.name)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == f"leadctl: external_id: taken belongs to lead {lead_id}, ada@example.com; use another id\n"
    again = client.run("submit", *ADA[:1], "ADA@example.com", *ADA[2:], "--external-id", "taken", cv.name)
    assert (again.returncode, again.stdout) == (0, f"{lead_id}\n"), "the same person"


def test_login_required(anonymous: Client) -> None:
    (anonymous.home / "cv").write_text("a CV")
    assert anonymous.run("submit", *ADA, "cv").returncode == 4


def test_a_cv_that_is_too_large_is_a_one_line_error(client: Client) -> None:
    with (client.home / "large").open("wb") as large:
        large.truncate(50 * 2**20)
    done = client.run("submit", *ADA, "large")
    assert done.returncode == 1
    assert done.stderr.startswith("leadctl: the body is too large: the file CV may have 10485760 bytes")
    assert done.stderr.count("\n") == 1


def test_a_lost_response_has_advice(client: Client, cv: Path) -> None:
    with Proxy(client.url, cuts=[0, 0]) as proxy:
        lost = client.run("--url", proxy.url, "submit", *ADA, cv.name, LEADCTL_TOKEN=client.token())
        known = client.run(
            "--url", proxy.url, "submit", *ADA, "--external-id", "lost", cv.name, LEADCTL_TOKEN=client.token()
        )
    assert (lost.returncode, known.returncode) == (75, 75)
    assert "may have been saved; check with: leadctl list --email" in lost.stderr
    assert "may have been saved; run it again" in known.stderr
    assert "already exists" in client.run("submit", *ADA, "--external-id", "lost", cv.name).stderr


def test_a_closed_pipe_does_not_affect_the_lead(client: Client, cv: Path) -> None:
    script = f"set -o pipefail; {shlex.join([LEADCTL, 'submit', *ADA, '--external-id', 'left', cv.name])} | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=client.environment, cwd=client.home)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert "already exists" in client.run("submit", *ADA, "--external-id", "left", cv.name).stderr


def test_a_large_file_has_a_progress_bar(client: Client) -> None:
    (client.home / "large").write_bytes(bytes(6_000_000))
    other = client.submit(email="large@example.com")
    code, screen = Terminal(client, "submit", *ada("--email", "large@example.com"), "large", columns=120).end()
    assert code == 0
    assert "Uploading the CV" in screen
    assert "/6.0 MB" in screen
    [said] = re.findall(r"saved as lead (\d+)", screen)
    assert f"\n{said}\n" not in screen, "the message has the id"
    assert screen.endswith(f"lead {other} has this address, too\n")


def test_a_narrow_terminal_shows_only_a_percentage(client: Client) -> None:
    (client.home / "large").write_bytes(bytes(6_000_000))
    code, screen = Terminal(client, "submit", *ADA, "large", columns=40).end()
    assert code == 0
    assert "Uploading the CV" in screen
    assert "100%" in screen
    assert "MB" not in screen


@pytest.fixture
def drain() -> Iterator[tuple[str, list[int]]]:
    """The URL of a server that reads a request and responds with success, and the bytes read so far."""
    read = [0]
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server.accept()[0] as connection:
            length = None
            head = b""
            while length is None or read[0] < length:
                data = connection.recv(2**20)
                if not data:
                    return
                read[0] += len(data)
                if length is None and b"\r\n\r\n" in (head := head + data):
                    header, _, body = head.partition(b"\r\n\r\n")
                    length = int(header.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                    read[0] = len(body)
            lead = dict.fromkeys(("email", "f_name", "l_name", "CV_name", "state", "created_at"), "x")
            cv = {"size": 1, "sha256": "x", "detected_type": "x", "flags": [], "scan_state": "clean"}
            answer = json.dumps({"id": 7, **lead, "CV": cv})
            head = f"HTTP/1.1 201 Created\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n".encode()
            connection.sendall(head + answer.encode())

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", read
    thread.join(20)
    server.close()


def test_a_large_file_is_streamed(anonymous: Client, drain: tuple[str, list[int]]) -> None:
    url, read = drain
    with (anonymous.home / "huge").open("wb") as huge:
        huge.truncate(900 * 2**20)
    # started by a small process, because peak memory includes the parent's at the fork
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, LEADCTL, "--url", url, "submit", *ADA, "huge"],
        env=anonymous.environment | {"LEADCTL_TOKEN": "t"},
        cwd=anonymous.home,
        capture_output=True,
        text=True,
    )
    lead_id, most_kib = done.stdout.split()
    assert (done.returncode, lead_id) == (0, "7")
    assert read[0] > 900 * 2**20
    assert int(most_kib) < 100 * 1024


def test_ctrl_c_during_an_upload_is_exit_130(anonymous: Client, drain: tuple[str, list[int]]) -> None:
    url, read = drain
    with (anonymous.home / "huge").open("wb") as huge:
        huge.truncate(2**33)
    process = subprocess.Popen(
        [LEADCTL, "--url", url, "submit", *ADA, "huge"],
        env=anonymous.environment | {"LEADCTL_TOKEN": "t"},
        cwd=anonymous.home,
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 20
    while read[0] < 2**20:
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert b"Traceback" not in process.communicate()[1]

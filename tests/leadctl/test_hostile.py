"""Hostile data and misbehaving servers."""

import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import threading
import time
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, count, cycle, repeat
from typing import Any

import pytest

from leadctl import connections
from leadctl.errors import TryAgain
from leadctl.http import Http
from tests.leadctl.conftest import Client
from tests.system.programs import LEADCTL

EVIL_NAMES = [
    "[bold red]x[/]",
    "\u202eevil",
    "a\u2028b",
    "\u200bhidden",
    "a\ufeffb",
    "a\u3164b",
    "a\u2800b",
    "a\u200db",
]


@pytest.mark.parametrize("name", EVIL_NAMES)
@pytest.mark.parametrize("output_format", ["table", "plain"])
def test_control_characters_are_escaped(client: Client, name: str, output_format: str) -> None:
    lead_id = client.submit(f_name=name, l_name="Hostile")
    for shown in (
        client.run("list", "-n", "1", "-o", output_format, COLUMNS="200").stdout,
        client.data("show", str(lead_id)),
    ):
        assert not set(shown) & set("\u202e\u2028\u200b\ufeff\x1b\u3164\u2800\u200d")
        assert name.encode("unicode_escape").decode() in shown or name in shown


@pytest.mark.parametrize("name", ["x;=1+1;", 'y|"@SUM(1)"', "=1+1", 'z";-1'])
def test_no_name_is_a_formula_with_any_delimiter(client: Client, name: str) -> None:
    client.submit(f_name=name, l_name=name)
    made = client.data("list", "-n", "1", "-o", "csv")
    for delimiter in ",;\t|":
        for cell in chain.from_iterable(csv.reader(io.StringIO(made, newline=""), delimiter=delimiter)):
            assert cell.lstrip(' "')[:1] not in tuple("=+-@")
    assert name in next(iter(csv.reader(client.data("list", "-n", "1", "-o", "csv", "--raw").splitlines()[1:])))


class Hostile(BaseHTTPRequestHandler):
    """Responds with the server's `answer`: status, headers and body; None drops the connection.

    It may be an iterator of answers, or a function that returns the answer to a path.
    """

    def do_GET(self) -> None:
        answer = self.server.answer  # type: ignore[attr-defined]
        answer = next(answer) if isinstance(answer, Iterator) else answer
        answer = answer(self.path) if callable(answer) else answer
        if answer is None:
            self.connection.close()
            return
        status, headers, body = answer
        self.rfile.read(int(self.headers.get("Content-Length", 0)))  # an unread body would reset the connection
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # the client may disconnect
            for piece in repeat(*body) if isinstance(body, tuple) else [body]:
                self.wfile.write(piece)
        self.server.released.wait(20)  # type: ignore[attr-defined]

    do_POST = do_PATCH = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *_args: object) -> None:
        """Do not log."""


@pytest.fixture
def hostile() -> Iterator[ThreadingHTTPServer]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.released = threading.Event()  # until it is set, connections stay open after the response
    server.released.set()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


JSON = {"Content-Type": "application/json"}
DIGEST_OF_X = f"sha-256=:{b64encode(hashlib.sha256(b'x').digest()).decode()}:"
PROBLEM = {"Content-Type": "application/problem+json"}
HTML = (200, {"Content-Type": "text/html"}, b"<html>welcome to the wifi</html>")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, 75),
        (HTML, 1),
        ((200, JSON, b"garbage"), 1),
        ((200, JSON, b"{}"), 1),
        ((200, JSON, b"[1, 2]"), 1),
        ((200, JSON, b'[{"id": 1}]'), 1),
        ((200, JSON, b"null"), 1),
        ((200, JSON | {"Content-Length": "100"}, b"[{}"), 75),
        ((200, JSON | {"Content-Encoding": "gzip"}, b"no gzip"), 1),
        ((503, PROBLEM | {"Content-Encoding": "br"}, b'{"detail": "away"}'), 1),
        ((200, JSON | {"Content-Encoding": "Identity"}, b"[]"), 0),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), 1),
        ((404, {"Content-Type": "text/html"}, b"nothing here"), 1),
        ((401, PROBLEM, b'{"detail": "gone"}'), 4),
        ((403, PROBLEM, b'{"detail": "no"}'), 4),
        ((404, PROBLEM, b'{"detail": "no"}'), 5),
        ((409, PROBLEM, b'{"detail": "no"}'), 6),
        ((410, PROBLEM, b'{"detail": "no"}'), 5),
        ((422, PROBLEM, b'{"detail": "no"}'), 2),
        ((429, PROBLEM | {"Retry-After": "40"}, b'{"detail": "slower"}'), 75),
        ((503, PROBLEM | {"Retry-After": "40"}, b'{"detail": "away"}'), 75),
        ((503, {}, b"a proxy's page"), 75),
        ((502, {}, b"a proxy's page"), 75),
        ((500, {"Content-Type": "text/html"}, b"a proxy's page"), 75),
        ((520, {}, b"a proxy's page"), 75),
        ((408, {}, b"a proxy's page"), 75),
        ((500, PROBLEM, b'{"detail": "oops", "request_id": "abc"}'), 1),
        ((500, PROBLEM, b"[]"), 1),
        ((422, PROBLEM, b'{"detail": "\\u001b[31mred\\n\\u202e"}'), 2),
    ],
)
def test_any_response_is_at_most_a_one_line_error(
    anonymous: Client, hostile: ThreadingHTTPServer, answer: object, code: int
) -> None:
    hostile.answer = answer  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{hostile.server_port}"
    commands = (["list"], ["show", "1"], ["whoami"], ["set-state", "X", "1"], ["download-cv", "1"])
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda command: anonymous.run("--url", url, *command, LEADCTL_TOKEN="t"), commands))
    assert runs[0].returncode == code, runs[0].stderr
    for done in runs[code == 0 :]:
        assert done.returncode in (code, 1), done.stderr
        *notes, error = done.stderr.splitlines()
        assert error.startswith("leadctl: ")
        assert len(notes) <= ("set-state" in done.args)  # the id of a change that may have been applied
        assert "\x1b" not in done.stderr
        assert "internal error" not in done.stderr


def test_login_throttling_prints_the_waiting_time(hostile: Any, anonymous: Client) -> None:
    detail = b'{"detail": "too many wrong passwords; try again later"}'
    hostile.answer = (429, PROBLEM | {"Retry-After": "16"}, detail)
    login = ("login", "-u", "peter", "--password-stdin")
    done = anonymous.run(*login, typed="x", LEADCTL_URL=f"http://127.0.0.1:{hostile.server_port}")
    assert (done.returncode, done.stderr) == (
        75,
        "leadctl: too many wrong passwords; try again later (retry in 16 s)\n",
    )


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("command", [["list"], ["set-state", "ENGAGED", "7"]])
def test_retry_after_is_honoured(
    anonymous: Client, hostile: ThreadingHTTPServer, status: int, command: list[str]
) -> None:
    outcome = b'{"change": "x", "results": [{"id": 7, "result": "changed", "state": "ENGAGED"}]}'
    busy = (status, PROBLEM | {"Retry-After": "1"}, b'{"detail": "busy"}')
    success = (200, JSON, b"[]" if command == ["list"] else outcome)
    hostile.answer = iter([busy, busy, success])  # type: ignore[attr-defined]
    began = time.monotonic()
    done = anonymous.run("--url", f"http://127.0.0.1:{hostile.server_port}", *command, LEADCTL_TOKEN="t")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[:2] == ["the server asks to wait 1 s"] * 2
    assert time.monotonic() - began > 2


def test_a_request_that_is_not_idempotent_is_not_repeated(anonymous: Client, hostile: ThreadingHTTPServer) -> None:
    busy = (503, PROBLEM | {"Retry-After": "1"}, b'{"detail": "busy"}')
    hostile.answer = iter([busy])  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{hostile.server_port}"
    done = anonymous.run(
        "--url", url, "register-user", "x", "--password-stdin", typed="correct horse", LEADCTL_TOKEN="t"
    )
    uncertain = "x may have been registered; to see whether: leadctl users list\n"
    assert (done.returncode, done.stderr) == (75, f"{uncertain}leadctl: busy (retry in 1 s)\n")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"x"),
        ({"Repr-Digest": "sha-256=:AAAA:"}, b"x"),
        ({"Repr-Digest": "sha-256=:???:"}, b"x"),
        ({"Repr-Digest": DIGEST_OF_X}, b"y"),
    ],
)
def test_a_cv_without_a_valid_digest_is_not_saved(
    anonymous: Client, hostile: ThreadingHTTPServer, headers: dict[str, str], body: bytes
) -> None:
    hostile.answer = (200, headers, body)  # type: ignore[attr-defined]
    before = set(anonymous.home.iterdir())
    done = anonymous.run("--url", f"http://127.0.0.1:{hostile.server_port}", "download-cv", "1", LEADCTL_TOKEN="t")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert set(anonymous.home.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_keeps_the_partial_download(
    anonymous: Client, hostile: ThreadingHTTPServer, number: signal.Signals
) -> None:
    headers = {"Repr-Digest": DIGEST_OF_X, "Content-Length": "9"}
    hostile.answer = (200, headers, b"x")  # type: ignore[attr-defined]
    hostile.released.clear()  # type: ignore[attr-defined]
    process = subprocess.Popen(
        [LEADCTL, "--url", f"http://127.0.0.1:{hostile.server_port}", "download-cv", "1"],
        env=anonymous.environment | {"LEADCTL_TOKEN": "t"},
        cwd=anonymous.home,
    )
    part = f".leadctl-1-{hashlib.sha256(b'x').hexdigest()}.part"
    until = time.monotonic() + 20
    while not list(anonymous.home.glob(".leadctl-*")):
        assert time.monotonic() < until, "no download began"
        time.sleep(0.02)
    time.sleep(0.5)  # the body follows immediately
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    assert {path.name: path.read_bytes() for path in anonymous.home.iterdir()} == {part: b"x"}


def peak_bytes_of(client: Client, *arguments: str) -> tuple[int, int, str]:
    """Run leadctl; return its exit code, peak memory in bytes, and standard error."""
    script = """
import sys
from leadctl.cli import main
try:
    main()
finally:
    sys.stdout = open("peak", "w")
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run(
        [LEADCTL.replace("leadctl", "python"), "-c", script, *arguments],
        env=client.environment,
        cwd=client.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return done.returncode, int((client.home / "peak").read_text()) * 1024, done.stderr


@pytest.fixture(scope="session")
def bomb() -> bytes:
    """300 MB of blanks in gzip."""
    packed = zlib.compressobj(1, wbits=31)
    return b"".join(packed.compress(b" " * 2**20) for _ in range(300)) + packed.flush()


GZIP = {"Content-Encoding": "gzip"}
CRON = {"username": "x", "token": "t", "password_command": "echo x"}
ENTRY = {"id": 1, "at": "2026-11-01T09:00:00Z", "action": "login"}
MAX_MEMORY = 300_000_000  # leadctl itself takes 45 MB, and 8 MiB of empty objects 200 MB


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        ((500, PROBLEM | GZIP), ["list"]),
        ((200, JSON | GZIP), ["list"]),
        ((401, PROBLEM | GZIP), ["--profile", "cron", "list"]),
        ((200, GZIP | {"Repr-Digest": DIGEST_OF_X}), ["download-cv", "1"]),
    ],
)
def test_encoded_responses_are_not_decoded(
    anonymous: Client, hostile: Any, bomb: bytes, answer: tuple[int, dict[str, str]], command: list[str]
) -> None:
    hostile.answer = (*answer, bomb)
    url = f"http://127.0.0.1:{hostile.server_port}"
    credentials = anonymous.home / ".config" / "leadctl" / "credentials.json"
    credentials.parent.mkdir(parents=True)
    credentials.write_text(json.dumps({"profiles": {"cron": {**CRON, "url": url}}}))
    anonymous.environment["LEADCTL_URL"] = url
    if "cron" not in command:
        anonymous.environment["LEADCTL_TOKEN"] = "t"
    code, peak, said = peak_bytes_of(anonymous, *command)
    assert (code, said.count("\n")) == (1, 1)
    assert "its response has the encoding 'gzip'" in said
    assert peak < MAX_MEMORY


@pytest.mark.parametrize(
    ("answer", "command", "message"),
    [
        ((500, PROBLEM, (b" " * 2**20, 200)), ["list"], "larger than 1 MiB"),
        ((404, PROBLEM, (b" " * 2**20, 200)), ["download-cv", "1"], "larger than 1 MiB"),
        ((203, JSON, (b" " * 2**20, 200)), ["download-cv", "1"], "larger than 1 MiB"),
        ((206, JSON, (b" " * 2**20, 200)), ["export-person", "--email", "a@b.example"], "larger than 1 MiB"),
        ((200, JSON, (b" " * 2**20, 200)), ["stats"], "larger than 1 MiB"),
        ((200, JSON, (b'["' + b"a" * 2**20, 200)), ["list"], "larger than 8 MiB"),
        ((200, JSON, (b"[{}," + b"{}," * 2_700_000 + b"{}]", 1)), ["list"], "does not respond like an intake service"),
        ((200, JSON, json.dumps([ENTRY] * 5000).encode()), ["audit"], "it sent more records than requested"),
    ],
)
def test_memory_is_bounded_for_any_response(
    anonymous: Client, hostile: Any, answer: object, command: list[str], message: str
) -> None:
    hostile.answer = answer
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    code, peak, said = peak_bytes_of(anonymous, *command)
    assert (code, said.count("\n")) == (1, 1)
    assert message in said
    assert peak < MAX_MEMORY


def test_a_response_that_takes_too_long_is_an_error(hostile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_RESPONSE_S", 0.2)
    hostile.answer = (200, JSON, (b" ", 10**6))
    url = f"http://127.0.0.1:{hostile.server_port}"
    with connections.connect(url, auth=None, cacert=None, insecure_http=False) as client:
        http = Http(url, client, info=print)
        with pytest.raises(TryAgain, match=r"its response took longer than 0\.2 s"):
            http.json("GET", "/")


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999", "9" * 400, "9" * 5000, "1" * 30])
@pytest.mark.parametrize(
    ("command", "body"),
    [
        (["login", "-u", "ada", "--password-stdin"], '{"access_token": "t", "expires_in": %s}'),
        (["stats"], '{"total": %s}'),
        (["list"], '[{"id": %s}]'),
        (["undo", "6f1a0c1e-58a0-4d0e-9a52-1f6f3c1d2b7a"], '{"results": [], "next": %s}'),
    ],
    ids=["login", "stats", "list", "undo"],
)
def test_numbers_beyond_any_bound_are_rejected(
    anonymous: Client, hostile: Any, command: list[str], body: str, number: str
) -> None:
    hostile.answer = (200, JSON, (body % number).encode())
    done = anonymous.run("--url", f"http://127.0.0.1:{hostile.server_port}", *command, typed="x", LEADCTL_TOKEN="t")
    assert (done.returncode, "does not respond like an intake service" in done.stderr) == (1, True), done.stderr


def test_a_traceback_is_shown_escaped(anonymous: Client, hostile: Any) -> None:
    detail = json.dumps({"detail": "\x1b]0;PWNED\x07\u202e"}).encode()
    hostile.answer = (409, {**PROBLEM, "Content-Length": str(len(detail))}, detail)
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    said = anonymous.run("--debug", "list").stderr
    assert ("Traceback" in said, "PWNED" in said) == (True, True)
    assert not set(said) & set("\x1b\x07\u202e")


@pytest.mark.parametrize("command", [["set-state", "ENGAGED", "1"], ["undo", "6f1a0c1e-58a0-4d0e-9a52-1f6f3c1d2b7a"]])
@pytest.mark.parametrize(
    "answer", [None, (500, PROBLEM, b'{"detail": "oops"}'), (500, {}, b"oops"), (503, {}, b"away"), HTML]
)
def test_the_id_of_a_change_is_printed_if_the_server_fails(
    anonymous: Client, hostile: Any, answer: object, command: list[str]
) -> None:
    hostile.answer = answer
    done = anonymous.run("--url", f"http://127.0.0.1:{hostile.server_port}", *command, LEADCTL_TOKEN="t")
    first, error = done.stderr.splitlines()
    assert re.fullmatch(r"change (\S{36}) may have been applied; to undo it: leadctl undo \1", first)
    assert error.startswith("leadctl: ")


def test_leads_that_were_changed_before_an_error_are_printed(anonymous: Client, hostile: Any) -> None:
    results = [{"id": number, "result": "changed", "state": "ENGAGED"} for number in range(1, 10_001)]
    done = (200, JSON, json.dumps({"results": results}).encode())
    hostile.answer = iter([done, (500, PROBLEM, b'{"detail": "oops"}')])
    command = ("--url", f"http://127.0.0.1:{hostile.server_port}", "set-state", "ENGAGED", "-", "-o", "ids")
    run = anonymous.run(*command, typed="\n".join(map(str, range(1, 20_002))), LEADCTL_TOKEN="t")
    assert (run.returncode, run.stdout.split()) == (1, [str(number) for number in range(1, 10_001)])
    assert "completed 10000 of 20001, up to id 10000; run the same command again for the rest" in run.stderr


@pytest.mark.parametrize("status", [401, 404, 409, 422])
def test_the_id_of_a_refused_change_is_not_printed(anonymous: Client, hostile: Any, status: int) -> None:
    hostile.answer = (status, PROBLEM, b'{"detail": "no"}')
    url = f"http://127.0.0.1:{hostile.server_port}"
    reason = "the token in LEADCTL_TOKEN is not valid" if status == 401 else "no"
    assert anonymous.run("--url", url, "set-state", "X", "1", LEADCTL_TOKEN="t").stderr == f"leadctl: {reason}\n"


@pytest.mark.parametrize(
    ("results", "part"),
    [
        ([], "its results are for others"),
        ([{"id": 2, "result": "changed", "state": "ENGAGED"}], "its results are for others"),
        ([{"id": 1, "result": "changed", "state": "ENGAGED"}] * 2, "its results are for others"),
        ([{"id": 1, "result": "changed", "state": "DECLINED"}], "its results are of another state"),
        ([{"id": 1, "result": "unchanged", "state": "DECLINED"}], "its results are of another state"),
        ([{"id": 1, "result": "refused", "state": "PENDING"}], ""),
        ([{"id": 1, "result": "conflict"}], ""),
    ],
)
def test_results_of_other_requests_are_an_error(
    anonymous: Client, hostile: Any, results: list[object], part: str
) -> None:
    body = json.dumps({"change": "6f1a0c1e-58a0-4d0e-9a52-1f6f3c1d2b7a", "results": results}).encode()
    hostile.answer = (200, {**JSON, "Content-Length": str(len(body))}, body)
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    done = anonymous.run("set-state", "ENGAGED", "1")
    assert (done.returncode, "does not respond like an intake service" in done.stderr) == (1, True)
    assert part in done.stderr


CHANGE: dict[str, Any] = {
    "id": "6f1a0c1e-58a0-4d0e-9a52-1f6f3c1d2b7a",
    "at": "2026-11-01T09:00:00Z",
    **dict.fromkeys(("user", "to"), "x"),
    "from": None,
    "undoes": None,
    "count": 1,
    "undone_by": [],
}
EVENT = {"at": "2026-11-01T09:00:00Z", "user": "x", "from": None, "to": "x", "change": None, "undoes": None}
CV_TEXT: dict[str, Any] = {
    "state": "done",
    "reason": None,
    "text": "x",
    "pages": [],
    "truncated": False,
    "guessed": False,
}
ERASURE = {
    "leads": [],
    **dict.fromkeys(("cvs", "mails", "mails_sent", "objects_left"), 0),
    **dict.fromkeys(("in_maildir", "swept", "dry_run"), False),
    "complete": False,
}


@pytest.mark.parametrize(
    ("flag", "erasure", "code", "part"),
    [
        ("--yes", {"dry_run": True}, 1, "it erased nothing"),
        ("--dry-run", {}, 1, "it erased"),
        ("--yes", {}, 75, "can't erase the remaining leads now"),
        ("--yes", {"complete": True}, 1, "it erased nothing"),
        ("--dry-run", {"dry_run": True}, 1, "it erased nothing"),
        ("--yes", {"cvs": -1}, 1, "does not respond like an intake service"),
    ],
)
def test_an_erasure_that_did_not_happen_is_an_error(
    anonymous: Client, hostile: Any, flag: str, erasure: dict[str, bool], code: int, part: str
) -> None:
    body = json.dumps(ERASURE | erasure).encode()
    hostile.answer = (200, {**JSON, "Content-Length": str(len(body))}, body)
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    done = anonymous.run("erase", "--email", "ada@example.com", flag)
    assert (done.returncode, part in done.stderr) == (code, True), done.stderr


CV = {"size": 1, "sha256": "0" * 64, "detected_type": "text/plain", "flags": [], "scan_state": "clean"}
LEAD = {
    "id": 50,
    **dict.fromkeys(("email", "f_name", "l_name", "CV_name", "state"), "x"),
    "created_at": "2026-11-01T09:00:00Z",
    "CV": {**CV, "signature": None},
}


def test_a_download_has_the_name_that_its_caution_is_about(anonymous: Client, hostile: Any) -> None:
    headers = {"Repr-Digest": DIGEST_OF_X, "Content-Disposition": "attachment; filename*=UTF-8''cv.exe"}
    hostile.answer = iter([(200, JSON, json.dumps(LEAD | {"CV_name": "cv.txt"}).encode()), (200, headers, b"x")])
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    assert anonymous.data("--verbose", "download-cv", "50") == "50-cv.txt\n"


def test_another_lead_than_requested_is_an_error(anonymous: Client, hostile: Any) -> None:
    body = json.dumps(LEAD).encode()
    hostile.answer = (200, {**JSON, "Content-Length": str(len(body))}, body)
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    assert anonymous.run("show", "50").returncode == 0
    done = anonymous.run("show", "3")
    assert (done.returncode, "it is another lead" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("command", "status", "answer"),
    [
        (
            ["mail", "retry", "1", "2"],
            200,
            {"results": [{"id": 1, "result": "revived"}, {"id": 3, "result": "revived"}]},
        ),
        (["mail", "retry", "1", "2"], 200, {"results": [{"id": 1, "result": "revived"}] * 2}),
        (["submit", "--email", "a@b.example", "--f-name", "A", "--l-name", "B", "cv"], 201, LEAD | {"id": -1}),
        (["show", "50"], 200, LEAD | {"CV": CV | {"size": -1}}),
        (["show", "50"], 200, LEAD | {"email": "\ud800@b.example"}),
        (["changes"], 200, [CHANGE | {"undone_by": [1]}]),
        (["changes"], 200, [CHANGE | {"undone_by": [{"id": "x"}]}]),
        (["changes"], 200, [CHANGE | {"undoes": 5}]),
        (["history", "1", "-o", "table"], 200, [EVENT | {"undoes": 5}]),
        (["cv-text", "1"], 200, CV_TEXT | {"text": "x" * (2**20 + 1)}),
    ],
)
def test_a_malformed_response_is_an_error(
    anonymous: Client, hostile: Any, command: list[str], status: int, answer: object
) -> None:
    (anonymous.home / "cv").write_text("x")
    hostile.answer = (status, JSON, json.dumps(answer).encode())
    done = anonymous.run("--url", f"http://127.0.0.1:{hostile.server_port}", *command, LEADCTL_TOKEN="t")
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not respond like an intake service" in done.stderr


def zip_with(begin: bytes, *, repeated: bytes = b"", count: int = 0, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip whose omitted.json consists of `begin` and the repetitions."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression, compresslevel=1) as archive:
        archive.writestr("person.json", "{}")
        with archive.open("omitted.json", "w") as file:
            file.write(begin)
            for _ in range(count):
                file.write(repeated)
    return made.getvalue()


def zip_with_a_large_directory() -> bytes:
    """Return a zip with a million entries in its directory, all of the same file."""
    content = zip_with(b"[]")
    at = content.index(b"PK\1\2")
    entries, end = content[at:-22] * 10**6, content[-22:]
    return content[:at] + entries + end[:12] + len(entries).to_bytes(4, "little") + end[16:]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: zip_with(b"[]", repeated=b" " * 2**20, count=300),
            "omitted.json in the zip is larger than 8 MiB",
        ),
        (
            lambda: zip_with(b"[{}", repeated=b",{}" * 2**18, count=10),
            "the zip is incomplete or damaged; try again",
        ),
        (lambda: zip_with(b"[]", compression=zipfile.ZIP_LZMA), "the zip was damaged in transit; try again"),
        (zip_with_a_large_directory, "the zip is incomplete or damaged; try again"),
    ],
    ids=["a large omitted.json", "many members", "LZMA", "a large directory"],
)
def test_a_zip_is_read_within_bounds(anonymous: Client, hostile: Any, make: Callable[[], bytes], said: str) -> None:
    hostile.answer = (200, {"Content-Type": "application/zip"}, make())
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    code, peak, error = peak_bytes_of(anonymous, "export-person", "--email", "a@b.example")
    assert (code, error) == (1, f"leadctl: {said}\n")
    assert peak < MAX_MEMORY
    assert not list(anonymous.home.glob("*.zip"))


UNDOING = ["undo", "6f1a0c1e-58a0-4d0e-9a52-1f6f3c1d2b7a"]
UNDONE = [{"id": 1, "result": "undone", "state": "PENDING"}] * 20_000


@pytest.mark.parametrize(
    ("pages", "command", "code", "message"),
    [
        ([{"results": UNDONE, "next": n} for n in range(1, 61)], UNDOING, 75, "no response from"),
        ([{"results": UNDONE, "next": n} for n in range(1, 61)], [*UNDOING, "-o", "json"], 75, "no response from"),
        ([{"results": [], "next": n} for n in range(1, 9)], UNDOING, 1, "its pages repeat"),
        (
            [ERASURE | {"leads": [{"id": 1, "state": "PENDING"}] * 20_000}] * 60,
            ["erase", "--yes", "--email", "a@b.example"],
            75,
            "leads remain; run it again to erase the rest",
        ),
        (
            [ERASURE | {"leads": [{"id": 1, "state": "PENDING"}], "more": ["x" * 7 * 2**20]}] * 60,
            ["erase", "--yes", "--email", "a@b.example"],
            75,
            "no response from",
        ),
    ],
    ids=["undo", "undo with output", "undo of nothing", "erase", "erase with more"],
)
def test_memory_is_bounded_for_any_number_of_responses(
    anonymous: Client, hostile: Any, pages: list[object], command: list[str], code: int, message: str
) -> None:
    hostile.answer = chain(((200, JSON, json.dumps(page).encode()) for page in pages), repeat(None))
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    done, peak, said = peak_bytes_of(anonymous, *command)
    assert done == code, said
    assert message in said
    assert peak < MAX_MEMORY


@pytest.mark.parametrize(
    "more",
    [
        *({"CV_flags": 5}, {"CV_scan_state": []}, {"CV_detected_type": []}, {"CV_size": "x"}, {"CV_more": {"x": [1]}}),
        {"CV": CV | {"flags": ["macro"], "name": 5}},
    ],
)
def test_further_members_of_a_lead_replace_no_checked_one(
    anonymous: Client, hostile: Any, more: dict[str, Any]
) -> None:
    cv = CV | {"flags": ["macro"]}
    document = json.dumps({**LEAD, "CV": cv, **more}).encode()
    headers = {"Repr-Digest": DIGEST_OF_X}
    hostile.answer = lambda path: (200, headers, b"x") if "download" in path else (200, JSON, document)
    url = f"http://127.0.0.1:{hostile.server_port}"
    for command in (["show", "50", "-o", "json"], ["download-cv", "50"]):
        done = anonymous.run("--url", url, "--verbose", *command, LEADCTL_TOKEN="t")
        assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
        assert "Caution: this CV contains macro" in done.stderr
        if command[0] == "show":
            shown = json.loads(done.stdout)
            assert all(shown[f"CV_{name}"] == value for name, value in (cv | {"flags": "macro"}).items())


def test_a_list_with_fields_reads_a_limited_number_of_leads(anonymous: Client, hostile: Any) -> None:
    firsts = count(1, 1000)
    hostile.answer = (
        (200, JSON | {"Link": '<?x>; rel="next"'}, json.dumps([{**LEAD, "id": n, "fields": {}} for n in ids]).encode())
        for ids in (range(first, first + 1000) for first in firsts)
    )
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    code, peak, said = peak_bytes_of(anonymous, "list", "--fields", "--sort", "id")
    assert (code, said) == (2, "leadctl: more than 100000 leads; select columns with --columns, or use filters\n")
    assert peak < MAX_MEMORY
    assert next(firsts) <= 102_001


@pytest.mark.parametrize(
    "wrong",
    [
        {"states": {"$(touch x)": 1}},
        {"states": {"A\n": 1}},
        {"states": {"A": -1}},
        {"states": {"A": 10**30}},
        {"days": {"2026-99-99": 1}},
        {"total": -1},
        {"state_keys": {"A": "\x1b"}},
        {"state_keys": {"A": 1}},
        {"suspect": -1},
    ],
)
def test_invalid_statistics_are_rejected(anonymous: Client, hostile: Any, wrong: dict[str, Any]) -> None:
    numbers = {"total": 1, "states": {"A": 1}, "days": {"2026-11-01": 1}, "mails": {"queued": 0, "failed": 0}}
    numbers |= {"oldest_waiting": None, "state_keys": {"A": "x"}, "suspect": 0}
    url = f"http://127.0.0.1:{hostile.server_port}"
    hostile.answer = (200, JSON, json.dumps(numbers).encode())
    assert anonymous.run("--url", url, "stats", "-o", "table", LEADCTL_TOKEN="t").returncode == 0
    hostile.answer = (200, JSON, json.dumps(numbers | wrong).encode())
    done = anonymous.run("--url", url, "stats", "-o", "table", LEADCTL_TOKEN="t")
    assert done.returncode == 1
    assert "does not respond like an intake service" in done.stderr


def test_repeated_pages_are_an_error(anonymous: Client, hostile: Any) -> None:
    entry = {"at": "2026-11-01T09:00:00Z", "action": "login"}
    pages = [json.dumps([{"id": number, **entry}]).encode() for number in (2, 1)]
    hostile.answer = ((200, JSON | {"Link": '<?x>; rel="next"'}, page) for page in cycle(pages))
    url = f"http://127.0.0.1:{hostile.server_port}"
    done = anonymous.run("--url", url, "audit", "-o", "ids", LEADCTL_TOKEN="t")
    assert (done.returncode, done.stdout) == (1, "2\n1\n")
    assert "its pages repeat" in done.stderr


@pytest.mark.parametrize(("unquoted", "message"), [(1, "1 CV is not quoted"), (2, "2 CVs are not quoted"), (0, "")])
def test_cvs_that_a_search_does_not_quote_are_reported(
    anonymous: Client, hostile: Any, unquoted: int, message: str
) -> None:
    page = {"results": [], "total": 0, "unindexed": 0, "unquoted": unquoted, "next": None}
    hostile.answer = (200, JSON, json.dumps(page).encode())
    done = anonymous.run("--url", f"http://127.0.0.1:{hostile.server_port}", "search", "visa", LEADCTL_TOKEN="t")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(message) if message else done.stderr == ""


@pytest.mark.parametrize("expires_in", [-1, -(10**18)])
def test_a_token_that_has_expired_is_not_saved(anonymous: Client, hostile: Any, expires_in: int) -> None:
    hostile.answer = (200, JSON, json.dumps({"access_token": "t", "expires_in": expires_in}).encode())
    url = f"http://127.0.0.1:{hostile.server_port}"
    done = anonymous.run("--url", url, "login", "-u", "ada", "--password-stdin", typed="secret")
    assert done.returncode == 1
    assert "does not respond like an intake service" in done.stderr
    assert anonymous.data("profiles") == ""


def closed_pipe() -> int:
    """Return the writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [(closed_pipe, 0, "4 of 4 leads restored to PENDING"), (lambda: os.open("/dev/full", os.O_WRONLY), 1, "No space")],
    ids=["closed pipe", "full disk"],
)
def test_an_undo_without_an_output_is_complete(
    anonymous: Client, hostile: Any, output: Callable[[], int], code: int, message: str
) -> None:
    pages = [
        {"results": [{"id": n, "result": "undone", "state": "PENDING"}], "next": n if n < 4 else None}
        for n in (1, 2, 3, 4)
    ]
    hostile.answer = ((200, JSON, json.dumps(page).encode()) for page in pages)
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    stdout = output()
    command = [LEADCTL, *UNDOING, "--yes", "-o", "ids"]
    done = subprocess.run(command, env=anonymous.environment, stdout=stdout, stderr=subprocess.PIPE, text=True)
    os.close(stdout)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert next(hostile.answer, None) is None, "all pages were requested"


def test_conflicts_are_reported_without_an_output(client: Client) -> None:
    ids = [str(client.submit()) for _ in range(2)]
    client.data("set-state", "DECLINED", ids[0])
    stdout = closed_pipe()
    command = [LEADCTL, "set-state", "--from", "PENDING", "ENGAGED", *ids, "-o", "plain"]
    done = subprocess.run(command, env=client.environment, stdout=stdout, stderr=subprocess.PIPE, text=True)
    os.close(stdout)
    assert done.returncode == 3
    assert f"lead {ids[0]} is in state DECLINED, not PENDING" in done.stderr


def test_erased_data_is_reported_after_an_error(anonymous: Client, hostile: Any) -> None:
    counts = {"cvs": 1, "mails": 2, "mails_sent": 2, "objects_left": 0}
    answer = {"leads": [{"id": 7, "state": "PENDING"}], **counts, "in_maildir": False, "complete": False}
    answers = [
        (200, JSON, json.dumps(answer | {"swept": False, "dry_run": False}).encode()),
        (503, PROBLEM, b'{"detail": "away"}'),
    ]
    hostile.answer = iter(answers)
    url = f"http://127.0.0.1:{hostile.server_port}"
    done = anonymous.run("--url", url, "erase", "--email", "ada@example.com", "--yes", LEADCTL_TOKEN="t")
    assert (done.returncode, done.stdout) == (75, "7\tPENDING\n")
    check = "data may have been erased; check with: leadctl erase --dry-run --email ada@example.com"
    assert done.stderr.splitlines()[:2] == [check, "1 lead, 1 CV, 2 mails erased"]
    assert done.stderr.splitlines()[-1] == "leadctl: away"

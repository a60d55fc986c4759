"""Hostile data, and servers that answer anything but what they should."""

import csv
import hashlib
import io
import json
import signal
import subprocess
import threading
import time
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, cycle, repeat
from typing import Any

import pytest

from tests.leadctl.conftest import Office
from tests.system.programs import LEADCTL

EVIL_NAMES = ["[bold red]x[/]", "\u202eevil", "a\u2028b", "\u200bhidden", "a\ufeffb", "a\u3164b", "\u2800", "a\u200db"]


@pytest.mark.parametrize("name", EVIL_NAMES)
@pytest.mark.parametrize("face", ["table", "plain"])
def test_what_a_terminal_would_obey_is_shown_and_never_sent(office: Office, name: str, face: str) -> None:
    lead_id = office.submit(f_name=name, l_name="Hostile")
    for shown in (office.run("list", "-n", "1", "-o", face, COLUMNS="200").stdout, office.data("show", str(lead_id))):
        assert not set(shown) & set("\u202e\u2028\u200b\ufeff\x1b\u3164\u2800\u200d")
        assert name.encode("unicode_escape").decode() in shown or name in shown


@pytest.mark.parametrize("name", ["x;=1+1;", 'y|"@SUM(1)"', "=1+1", 'z";-1'])
def test_no_name_is_a_formula_whatever_is_taken_for_the_delimiter(office: Office, name: str) -> None:
    office.submit(f_name=name, l_name=name)
    made = office.data("list", "-n", "1", "-o", "csv")
    for delimiter in ",;\t|":
        for cell in chain.from_iterable(csv.reader(io.StringIO(made, newline=""), delimiter=delimiter)):
            assert cell.lstrip(' "')[:1] not in tuple("=+-@")
    assert name in next(iter(csv.reader(office.data("list", "-n", "1", "-o", "csv", "--raw").splitlines()[1:])))


class Hostile(BaseHTTPRequestHandler):
    """Answers as the server's `answer` says: status, headers, body; None cuts the connection off."""

    def do_GET(self) -> None:
        answer = self.server.answer  # type: ignore[attr-defined]
        answer = next(answer) if isinstance(answer, Iterator) else answer
        if answer is None:
            self.connection.close()
            return
        status, headers, body = answer
        self.rfile.read(int(self.headers.get("Content-Length", 0)))  # what is left unread would reset the connection
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # who has enough goes away
            for piece in repeat(*body) if isinstance(body, tuple) else [body]:
                self.wfile.write(piece)
        self.server.released.wait(20)  # type: ignore[attr-defined]

    do_POST = do_PATCH = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hostile() -> Iterator[ThreadingHTTPServer]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.released = threading.Event()  # until then, a connection stays open after its answer
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
        ((422, PROBLEM, b'{"detail": "no"}'), 2),
        ((429, PROBLEM | {"Retry-After": "40"}, b'{"detail": "slower"}'), 75),
        ((503, PROBLEM | {"Retry-After": "40"}, b'{"detail": "away"}'), 75),
        ((503, {}, b"a proxy's page"), 75),
        ((502, {}, b"a proxy's page"), 75),
        ((500, PROBLEM, b'{"detail": "oops", "request_id": "abc"}'), 1),
        ((500, PROBLEM, b"[]"), 1),
        ((422, PROBLEM, b'{"detail": "\\u001b[31mred\\n\\u202e"}'), 2),
    ],
)
def test_any_answer_is_told_in_one_line(
    stranger: Office, hostile: ThreadingHTTPServer, answer: object, code: int
) -> None:
    hostile.answer = answer  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{hostile.server_port}"
    commands = (["list"], ["show", "1"], ["whoami"], ["set-state", "X", "1"], ["download-cv", "1"])
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda command: stranger.run("--url", url, *command, LEADCTL_TOKEN="t"), commands))
    assert runs[0].returncode == code, runs[0].stderr
    for done in runs[code == 0 :]:
        assert done.returncode in (code, 1), done.stderr
        *announced, error = done.stderr.splitlines()
        assert error.startswith("leadctl: ")
        # a change that may have been made is announced first
        assert not announced or (code == 75 and announced[0].startswith("change ") and len(announced) == 1)
        assert "\x1b" not in done.stderr
        assert "something went wrong" not in done.stderr


def test_who_must_wait_to_log_in_is_told_how_long(hostile: Any, stranger: Office) -> None:
    detail = b'{"detail": "too many wrong passwords; try again later"}'
    hostile.answer = (429, PROBLEM | {"Retry-After": "16"}, detail)
    login = ("login", "-u", "peter", "--password-stdin")
    done = stranger.run(*login, typed="x", LEADCTL_URL=f"http://127.0.0.1:{hostile.server_port}")
    assert (done.returncode, done.stderr) == (75, "leadctl: too many wrong passwords; try again later (in 16 s)\n")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("command", [["list"], ["set-state", "ENGAGED", "7"]])
def test_a_server_that_asks_to_wait_is_waited_for(
    stranger: Office, hostile: ThreadingHTTPServer, status: int, command: list[str]
) -> None:
    outcome = b'{"change": "x", "results": [{"id": 7, "result": "changed", "state": "ENGAGED"}]}'
    busy = (status, PROBLEM | {"Retry-After": "1"}, b'{"detail": "busy"}')
    done_at_last = (200, JSON, b"[]" if command == ["list"] else outcome)
    hostile.answer = iter([busy, busy, done_at_last])  # type: ignore[attr-defined]
    began = time.monotonic()
    done = stranger.run("--url", f"http://127.0.0.1:{hostile.server_port}", *command, LEADCTL_TOKEN="t")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[:2] == ["the server asks to wait 1 s"] * 2
    assert time.monotonic() - began > 2


def test_what_would_be_done_twice_is_not_sent_again(stranger: Office, hostile: ThreadingHTTPServer) -> None:
    busy = (503, PROBLEM | {"Retry-After": "1"}, b'{"detail": "busy"}')
    hostile.answer = iter([busy])  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{hostile.server_port}"
    done = stranger.run(
        "--url", url, "register-user", "x", "--password-stdin", typed="correct horse", LEADCTL_TOKEN="t"
    )
    assert (done.returncode, done.stderr) == (75, "leadctl: busy (in 1 s)\n")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"x"),
        ({"Repr-Digest": "sha-256=:AAAA:"}, b"x"),
        ({"Repr-Digest": "sha-256=:???:"}, b"x"),
        ({"Repr-Digest": DIGEST_OF_X}, b"y"),
    ],
)
def test_a_cv_that_can_not_be_checked_is_not_kept(
    stranger: Office, hostile: ThreadingHTTPServer, headers: dict[str, str], body: bytes
) -> None:
    hostile.answer = (200, headers, body)  # type: ignore[attr-defined]
    before = set(stranger.home.iterdir())
    done = stranger.run("--url", f"http://127.0.0.1:{hostile.server_port}", "download-cv", "1", LEADCTL_TOKEN="t")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert set(stranger.home.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_download_keeps_what_arrived(
    stranger: Office, hostile: ThreadingHTTPServer, number: signal.Signals
) -> None:
    headers = {"Repr-Digest": DIGEST_OF_X, "Content-Length": "9"}
    hostile.answer = (200, headers, b"x")  # type: ignore[attr-defined]
    hostile.released.clear()  # type: ignore[attr-defined]
    process = subprocess.Popen(
        [LEADCTL, "--url", f"http://127.0.0.1:{hostile.server_port}", "download-cv", "1"],
        env=stranger.environment | {"LEADCTL_TOKEN": "t"},
        cwd=stranger.home,
    )
    part = f".leadctl-1-{hashlib.sha256(b'x').hexdigest()}.part"
    until = time.monotonic() + 20
    while not list(stranger.home.glob(".leadctl-*")):
        assert time.monotonic() < until, "nothing was begun"
        time.sleep(0.02)
    time.sleep(0.5)  # the body comes right after
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    assert {path.name: path.read_bytes() for path in stranger.home.iterdir()} == {part: b"x"}


def peak_bytes_of(office: Office, *arguments: str) -> tuple[int, int, str]:
    """Run leadctl; return its exit code, the most memory that it had, and what it said."""
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
        env=office.environment,
        cwd=office.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return done.returncode, int((office.home / "peak").read_text()) * 1024, done.stderr


@pytest.fixture(scope="session")
def bomb() -> bytes:
    """300 MB of blanks in gzip."""
    packed = zlib.compressobj(1, wbits=31)
    return b"".join(packed.compress(b" " * 2**20) for _ in range(300)) + packed.flush()


GZIP = {"Content-Encoding": "gzip"}
CRON = {"username": "x", "token": "t", "password_command": "echo x"}
ENTRY = {"id": 1, "at": "2026-11-01T09:00:00Z", "action": "login"}
MAX_MEMORY = 300_000_000  # of which it takes 45 MB in any case, and 200 MB for 8 MiB of empty objects


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        ((500, PROBLEM | GZIP), ["list"]),
        ((200, JSON | GZIP), ["list"]),
        ((401, PROBLEM | GZIP), ["--profile", "cron", "list"]),
        ((200, GZIP | {"Repr-Digest": DIGEST_OF_X}), ["download-cv", "1"]),
    ],
)
def test_no_encoded_answer_is_decoded(
    stranger: Office, hostile: Any, bomb: bytes, answer: tuple[int, dict[str, str]], command: list[str]
) -> None:
    hostile.answer = (*answer, bomb)
    url = f"http://127.0.0.1:{hostile.server_port}"
    kept = stranger.home / ".config" / "leadctl" / "credentials.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"profiles": {"cron": {**CRON, "url": url}}}))
    stranger.environment["LEADCTL_URL"] = url
    if "cron" not in command:
        stranger.environment["LEADCTL_TOKEN"] = "t"
    code, peak, said = peak_bytes_of(stranger, *command)
    assert (code, said.count("\n")) == (1, 1)
    assert "its answer is encoded as 'gzip'" in said
    assert peak < MAX_MEMORY


@pytest.mark.parametrize(
    ("answer", "command", "told"),
    [
        ((500, PROBLEM, (b" " * 2**20, 200)), ["list"], "larger than 1 MiB"),
        ((404, PROBLEM, (b" " * 2**20, 200)), ["download-cv", "1"], "larger than 1 MiB"),
        ((203, JSON, (b" " * 2**20, 200)), ["download-cv", "1"], "larger than 1 MiB"),
        ((206, JSON, (b" " * 2**20, 200)), ["export-person", "--email", "a@b.example"], "larger than 1 MiB"),
        ((200, JSON, (b" " * 2**20, 200)), ["stats"], "larger than 1 MiB"),
        ((200, JSON, (b'["' + b"a" * 2**20, 200)), ["list"], "larger than 8 MiB"),
        ((200, JSON, (b"[{}," + b"{}," * 2_700_000 + b"{}]", 1)), ["list"], "does not answer as an intake service"),
        ((200, JSON, json.dumps([ENTRY] * 5000).encode()), ["audit"], "it sends more than was asked for"),
    ],
)
def test_no_answer_takes_much_memory(
    stranger: Office, hostile: Any, answer: object, command: list[str], told: str
) -> None:
    hostile.answer = answer
    stranger.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    code, peak, said = peak_bytes_of(stranger, *command)
    assert (code, said.count("\n")) == (1, 1)
    assert told in said
    assert peak < MAX_MEMORY


def test_a_traceback_is_shown_escaped(stranger: Office, hostile: Any) -> None:
    detail = json.dumps({"detail": "\x1b]0;PWNED\x07\u202e"}).encode()
    hostile.answer = (409, {**PROBLEM, "Content-Length": str(len(detail))}, detail)
    stranger.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    said = stranger.run("--debug", "list").stderr
    assert ("Traceback" in said, "PWNED" in said) == (True, True)
    assert not set(said) & set("\x1b\x07\u202e")


@pytest.mark.parametrize(
    "results",
    [[], [{"id": 2, "result": "changed", "state": "ENGAGED"}], [{"id": 1, "result": "refused", "state": "PENDING"}],
     [{"id": 1, "result": "conflict"}]],
)  # fmt: skip
def test_results_that_are_not_those_of_the_leads_are_no_success(
    stranger: Office, hostile: Any, results: list[object]
) -> None:
    body = json.dumps({"change": "6f1a0c1e-58a0-4d0e-9a52-1f6f3c1d2b7a", "results": results}).encode()
    hostile.answer = (200, {**JSON, "Content-Length": str(len(body))}, body)
    stranger.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    done = stranger.run("set-state", "ENGAGED", "1")
    assert (done.returncode, "does not answer as an intake service" in done.stderr) == (1, True)


@pytest.mark.parametrize(("compression", "size"), [(zipfile.ZIP_DEFLATED, 300), (zipfile.ZIP_LZMA, 1)])
def test_a_zip_is_read_within_bounds(stranger: Office, hostile: Any, compression: int, size: int) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive, archive.open("person.json", "w") as person:
        person.write(b'{"leads": []}')
        for _ in range(size):
            person.write(b" " * 2**20)
    hostile.answer = (200, {"Content-Type": "application/zip"}, made.getvalue())
    stranger.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    code, peak, said = peak_bytes_of(stranger, "export-person", "--email", "a@b.example")
    assert (code, said) == (1, "leadctl: what arrived of the zip is damaged; try again\n")
    assert peak < MAX_MEMORY
    assert not list(stranger.home.glob("*.zip"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"states": {"$(touch x)": 1}},
        {"states": {"A\n": 1}},
        {"states": {"A": -1}},
        {"states": {"A": 10**30}},
        {"days": {"2026-99-99": 1}},
        {"total": -1},
    ],
)
def test_numbers_are_those_of_states_and_days(stranger: Office, hostile: Any, wrong: dict[str, Any]) -> None:
    numbers = {"total": 1, "states": {"A": 1}, "days": {"2026-11-01": 1}, "mails": {"queued": 0, "failed": 0}}
    numbers["oldest_waiting"] = None
    url = f"http://127.0.0.1:{hostile.server_port}"
    hostile.answer = (200, JSON, json.dumps(numbers).encode())
    assert stranger.run("--url", url, "stats", "-o", "table", LEADCTL_TOKEN="t").returncode == 0
    hostile.answer = (200, JSON, json.dumps(numbers | wrong).encode())
    done = stranger.run("--url", url, "stats", "-o", "table", LEADCTL_TOKEN="t")
    assert done.returncode == 1
    assert "does not answer as an intake service" in done.stderr


def test_pages_that_go_in_circles_end(stranger: Office, hostile: Any) -> None:
    entry = {"at": "2026-11-01T09:00:00Z", "action": "login"}
    pages = [json.dumps([{"id": number, **entry}]).encode() for number in (2, 1)]
    hostile.answer = ((200, JSON | {"Link": '<?x>; rel="next"'}, page) for page in cycle(pages))
    url = f"http://127.0.0.1:{hostile.server_port}"
    done = stranger.run("--url", url, "audit", "-o", "ids", LEADCTL_TOKEN="t")
    assert (done.returncode, done.stdout) == (1, "2\n1\n")
    assert "its pages do not go on" in done.stderr


def test_what_was_erased_before_an_error_is_told(stranger: Office, hostile: Any) -> None:
    counts = {"cvs": 1, "mails": 2, "mails_sent": 2, "objects_left": 0}
    answer = {"leads": [{"id": 7, "state": "PENDING"}], **counts, "in_maildir": False, "complete": False}
    answers = [(200, JSON, json.dumps(answer | {"swept": False}).encode()), (503, PROBLEM, b'{"detail": "away"}')]
    hostile.answer = iter(answers)
    url = f"http://127.0.0.1:{hostile.server_port}"
    done = stranger.run("--url", url, "erase", "--email", "ada@example.com", "--yes", LEADCTL_TOKEN="t")
    assert (done.returncode, done.stdout) == (75, "7\tPENDING\n")
    assert done.stderr.splitlines()[0] == "1 lead, 1 CV, 2 mails erased"
    assert done.stderr.splitlines()[-1] == "leadctl: away"

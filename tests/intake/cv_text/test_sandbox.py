"""Hostile behaviour of the child process, in the real sandbox."""

import sys
import tempfile
import time

import pytest

from intake.cv_text import sandbox
from intake.cv_text.runner import ChildFailed, Extraction, Limits, extract
from intake.errors import Stopped

pytestmark = pytest.mark.skipif(bool(sandbox.missing()), reason="this system lacks a part of the sandbox")

LIMITS = Limits(wall_s=20, cpu_s=1)
_PROGRAM = """
import ctypes, errno, json, mmap, os, signal, socket, sys, threading, time
from intake.cv_text import sandbox
libc = ctypes.CDLL(None, use_errno=True)
def denied(attempt):
    try:
        return f"succeeded: {attempt()}"
    except (OSError, RuntimeError, ValueError) as error:
        return f"denied: {getattr(error, 'errno', None) or error}"
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
    return "done"
sandbox.enter(sys.argv[2], cpu_s=int(sys.argv[3]))
"""


def run(code: str, limits: Limits = LIMITS) -> Extraction:
    """Run code in the sandbox instead of the parsers."""
    program = (sys.executable, "-I", "-c", _PROGRAM + code)
    with tempfile.TemporaryFile() as file:
        return extract(file, "text/plain", mode=sandbox.REQUIRED, limits=limits, program=program)


def attempt(code: str) -> str | None:
    """Return what came of an attempt, which the child reports as its text."""
    report = f"json.dumps({{'state': 'done', 'text': denied(lambda: {code})}})"
    return run(f"os.write(1, {report}.encode()); os._exit(0)").text


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("ctypes.string_at(0)", "crashed"),
        ("os._exit(3)", "crashed"),
        ("sys.exit()", "output"),
        ("x = bytearray(2**30)", "crashed"),
        ("[bytearray(2**20) for _ in range(2**20)]", "crashed"),
        ("while True: pass", "timeout"),
        ("while True: os.write(1, bytes(2**20))", "output"),
        ("os.write(1, b'{}')", "output"),
        ('os.write(1, b\'{"state": "done", "text": "\\\\u0000"}\')', "output"),
        ('os.write(1, b\'{"state": "done", "text": "\\\\ud800"}\')', "output"),
        ('os.write(1, b\'{"state": "done", "text": "a", "pages": [0, 5]}\')', "output"),
        ("os.write(1, json.dumps({'state': 'done', 'text': 'e\\u0301'}).encode())", "output"),
        ("os.write(1, json.dumps({'state': 'done', 'text': 'a' + '\\u0316' * 31}).encode())", "output"),
        ("os.write(1, json.dumps({'state': 'withheld'}).encode())", "output"),
    ],
)
def test_a_child_that_fails_has_a_reason(code: str, reason: str) -> None:
    with pytest.raises(ChildFailed) as raised:
        run(code)
    assert raised.value.reason == reason
    assert raised.value.is_final == (reason == "timeout"), "more CPU time is not available in another attempt either"


@pytest.mark.parametrize("code", ["time.sleep(60)", "os.close(1); time.sleep(60)", "threading.Event().wait(60)"])
def test_a_child_that_waits_is_ended(code: str) -> None:
    started = time.monotonic()
    with pytest.raises(ChildFailed, match="timeout") as raised:
        run(code, Limits(wall_s=1, cpu_s=1))
    assert not raised.value.is_final
    assert time.monotonic() - started < 15


def test_a_service_that_stops_ends_the_child() -> None:
    program = (sys.executable, "-I", "-c", _PROGRAM + "time.sleep(60)")
    with tempfile.TemporaryFile() as file, pytest.raises(Stopped):
        extract(file, "text/plain", program=program, is_stopping=lambda: True)


@pytest.mark.parametrize(
    "code",
    [
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_INET6, socket.SOCK_RAW)",
        "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socketpair()",
        "open('/etc/passwd').read()",
        "os.open('/etc/passwd', os.O_RDONLY)",
        "os.listdir('/')",
        "os.stat('/etc/passwd')",
        "os.readlink('/proc/self/exe')",
        "open('/tmp/intake-sandbox', 'w')",
        "os.mkdir('/tmp/intake-sandbox')",
        "os.unlink('/tmp/intake-sandbox')",
        "os.chmod('/tmp', 0o777)",
        "os.execv('/bin/true', ['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.fork()",
        "threading.Thread(target=print).start()",
        "os.kill(os.getppid(), 0)",
        "os.kill(os.getpid(), 0)",
        "os.memfd_create('x')",
        "os.pipe()",
        "os.write(2, b'x')",
        "os.setuid(0)",
        "os.dup(1)",
        "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)",
        "sandbox.resource.setrlimit(sandbox.resource.RLIMIT_AS, (2**40, 2**40))",
        # clone3, io_uring_setup, pidfd_getfd, openat2 and userfaultfd by number: Python has no function for them
        *(f"call({number}, 0, 0, 0, 0)" for number in (435, 425, 438, 437, 448)),
    ],
)
def test_a_child_can_only_read_and_write(code: str) -> None:
    assert (attempt(code) or "").startswith("denied: "), code


@pytest.mark.parametrize(
    "code", ["socket.socketpair()", "open('/etc/passwd').read()", "os.dup(1)", "os.write(2, b'x')"]
)
def test_the_attempts_succeed_outside_of_the_sandbox(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "_PROGRAM", _PROGRAM.partition("sandbox.enter")[0])
    assert (attempt(code) or "").startswith("succeeded: "), code


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd').read()",
        "os.listdir('/')",
        "open('/tmp/intake-sandbox', 'w')",
        "os.mkdir('/tmp/intake-sandbox')",
        "os.execv('/bin/true', ['true'])",
    ],
)
def test_landlock_alone_denies_files(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_seccomp = "sandbox._filter_system_calls = lambda: None\nsandbox.enter"
    monkeypatch.setitem(globals(), "_PROGRAM", _PROGRAM.replace("sandbox.enter", without_seccomp))
    assert attempt(code) == "denied: 13", code  # EACCES


def test_a_child_has_none_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_JWT_SECRET", "a secret")
    found = run("os.write(1, json.dumps({'state': 'done', 'text': f'{dict(os.environ)}'}).encode()); os._exit(0)")
    assert "secret" not in (found.text or "secret")


@pytest.mark.parametrize(
    ("part", "mode"), [("Landlock", "required"), ("seccomp", "required"), ("Landlock", "best-effort")]
)
def test_a_missing_part_prevents_extraction_if_the_sandbox_is_required(part: str, mode: str) -> None:
    code = f"sandbox.missing = lambda: ['{part}']\n"
    program = _PROGRAM.replace("sandbox.enter", code + "sandbox.enter")
    program += 'os.write(1, b\'{"state": "empty"}\'); os._exit(0)'
    with tempfile.TemporaryFile() as file:
        arguments = {"mode": mode, "limits": LIMITS, "program": (sys.executable, "-I", "-c", program)}
        if mode == sandbox.BEST_EFFORT:
            assert extract(file, "text/plain", **arguments).state == "empty"  # type: ignore[arg-type]
            return
        with pytest.raises(ChildFailed, match="crashed"):
            extract(file, "text/plain", **arguments)  # type: ignore[arg-type]

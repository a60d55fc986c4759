"""leadctl completion."""

import json
import shlex
import socket
import subprocess
import time

import pytest

from tests.leadctl.conftest import PASSWORD, Office
from tests.leadctl.proxy import Proxy
from tests.leadctl.test_http import CA, listening
from tests.system.programs import BIN, LEADCTL

SHELLS = ("bash", "zsh", "fish")
USUAL = ["PENDING", "REACHED_OUT", "ENGAGED", "DECLINED"]
OBEYED_BY_A_SHELL = [
    "$(touch x)",
    "PENDING;touch${IFS}x;#",
    "`touch x`",
    "*",
    "A B",
    "A\nB",
    "A\n",
    "--help",
    "pending",
    "A" * 33,
    "",
]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_its_script(stranger: Office, shell: str) -> None:
    script = stranger.data("completion", shell)
    assert "_LEADCTL_COMPLETE=complete_" + shell in script
    assert stranger.run("completion", "tcsh").returncode == 2


def completed(office: Office, *words: str) -> list[str]:
    """Return what bash would offer for the last word."""
    script = f"""
        source /dev/stdin <<< "$SCRIPT"
        COMP_WORDS=({shlex.join(["leadctl", *words])}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _leadctl_completion leadctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**office.environment, "SCRIPT": office.data("completion", "bash")}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=office.home, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def answered(office: Office, shell: str, line: str, **environment: str) -> str:
    """Return what a shell's script reads when TAB is pressed after the line."""
    asking = {
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_LEADCTL_COMPLETE": f"complete_{shell}",
    }
    done = subprocess.run(
        [LEADCTL], env=office.environment | asking | environment, cwd=office.home, capture_output=True, timeout=60
    )
    assert done.stderr == b""
    return done.stdout.decode()


def stats_of(*states: str) -> bytes:
    """Return an answer, as it is sent, that counts leads in these states."""
    mails = {"queued": 0, "failed": 0}
    numbers = {"total": 1, "states": dict.fromkeys(states, 1), "days": {"2026-11-01": 1}, "mails": mails}
    body = json.dumps(numbers).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("shell", "state"), [*((shell, OBEYED_BY_A_SHELL[0]) for shell in SHELLS), *(("zsh", s) for s in OBEYED_BY_A_SHELL)]
)
def test_no_state_that_a_shell_would_obey_is_offered(stranger: Office, shell: str, state: str) -> None:
    with Proxy(stranger.url, answers=[stats_of("FIRST", state)]) as server:
        answer = answered(stranger, shell, "leadctl set-state ", LEADCTL_URL=server.url, LEADCTL_TOKEN="t")
    assert b"/internal/stats" in server.asked
    assert [word for word in answer.replace('"', " ").split() if word.isupper()] == USUAL
    assert "touch" not in answer


def test_bash_is_given_no_state_that_it_would_obey(stranger: Office) -> None:
    for state in ("$(touch x)", "PENDING;touch${IFS}x;#"):
        with Proxy(stranger.url, answers=[stats_of(state)]) as server:
            stranger.environment |= {"LEADCTL_URL": server.url, "LEADCTL_TOKEN": "t"}
            assert completed(stranger, "set-state", "") == USUAL
    assert not (stranger.home / "x").exists()


def test_a_servers_own_states_are_offered(stranger: Office) -> None:
    with Proxy(stranger.url, answers=[stats_of("NEW", "STEP_2")]) as server:
        stranger.environment |= {"LEADCTL_URL": server.url, "LEADCTL_TOKEN": "t"}
        assert completed(stranger, "set-state", "") == ["NEW", "STEP_2"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["42-$(touch x).pdf", "cv"])
def test_the_shell_completes_file_names_by_itself(stranger: Office, shell: str, name: str) -> None:
    answer = answered(stranger, shell, f"leadctl import '{name}'")
    assert answer.strip() == ("_files" if shell == "zsh" else "")


@pytest.mark.parametrize("shell", ["zsh"])
def test_no_program_is_run_to_complete(office: Office, shell: str) -> None:
    program = office.home / "password"
    program.write_text(f"#!/bin/sh\necho run >> {office.home}/runs\necho '{PASSWORD}'\n")
    program.chmod(0o700)
    office.data("login", "--profile", "cron", "-u", "peter", "--password-command", str(program))
    file = next(office.home.rglob("credentials.json"))
    kept = json.loads(file.read_text())
    for token in (None, "bm90IGdvb2Q"):
        kept["profiles"]["cron"]["token"] = token
        file.write_text(json.dumps(kept))
        assert "DECLINED" in answered(office, shell, "leadctl --profile cron set-state ")
    assert (office.home / "runs").read_text() == "run\n", "by the login"
    assert json.loads(file.read_text()) == kept


def test_it_trusts_and_dares_what_the_line_says(stranger: Office) -> None:
    with listening(tls=True) as server:
        assert "DECLINED" in answered(stranger, "bash", f"leadctl --url {server.url} set-state ", LEADCTL_TOKEN="t")
        assert server.heard == []
        answered(stranger, "bash", f"leadctl --url {server.url} --cacert {CA} set-state ", LEADCTL_TOKEN="t")
        assert server.heard == [("GET", "/internal/stats", "Bearer t")]
    with listening() as proxy:
        proxied = {"LEADCTL_TOKEN": "t", "http_proxy": proxy.url}
        answered(stranger, "bash", "leadctl --url http://intake.invalid set-state ", **proxied)
        assert proxy.heard == []
        answered(stranger, "bash", "leadctl --url http://intake.invalid --insecure-http set-state ", **proxied)
        assert proxy.heard == [("GET", "http://intake.invalid/internal/stats", "Bearer t")]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("line", ["leadctl --profile ", "leadctl set-state ", "leadctl --url nonsense set-state "])
def test_it_fails_in_silence(stranger: Office, shell: str, line: str) -> None:
    kept = stranger.home / ".config" / "leadctl" / "credentials.json"
    kept.mkdir(parents=True)  # what can't be read
    answer = answered(stranger, shell, line)
    assert ("PENDING" in answer) == ("set-state" in line)
    assert answered(stranger, shell, line, COMP_WORDS="", COMP_CWORD="x", XDG_CONFIG_HOME="\udcff") is not None


def test_only_profiles_that_can_be_named_are_offered(office: Office) -> None:
    file = next(office.home.rglob("credentials.json"))
    kept = json.loads(file.read_text())
    kept["profiles"] = {name: {"url": "http://127.0.0.1:1"} for name in ("good", "$(touch x)", "*")}
    file.write_text(json.dumps(kept))
    assert completed(office, "--profile", "") == ["good"]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 503 Busy\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n"])
def test_nobody_waits_long_for_a_server(stranger: Office, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Proxy(url, answers=[answer] if answer else None) as busy:
            shown = answered(stranger, "bash", "leadctl set-state ", LEADCTL_URL=busy.url, LEADCTL_TOKEN="t")
            assert shown.split() == USUAL
            assert time.monotonic() - began < 10
            server.close()


def test_the_servers_states_are_completed(office: Office, stranger: Office) -> None:
    assert completed(office, "set-state", "REA") == ["REACHED_OUT"]
    assert completed(office, "list", "--state", "") == ["PENDING", "REACHED_OUT", "ENGAGED", "DECLINED"]
    assert completed(stranger, "set-state", "--from", "EN") == ["ENGAGED"], "the usual ones without a login"


def test_profiles_are_completed(office: Office) -> None:
    office.data("login", "--profile", "prod", "-u", "peter", "--password-stdin", typed=PASSWORD)
    assert completed(office, "--profile", "p") == ["prod"]


def test_commands_and_options_are_completed(stranger: Office) -> None:
    assert completed(stranger, "set") == ["set-state"]
    assert "--state" in completed(stranger, "list", "--st")
    assert completed(stranger, "audit", "--action", "login") == ["login", "login-failed", "login-allowed"]

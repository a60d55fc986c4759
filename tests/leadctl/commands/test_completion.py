"""leadctl completion."""

import json
import re
import shlex
import socket
import subprocess
import time

import pytest

from tests.leadctl.commands.test_undo import changed
from tests.leadctl.conftest import PASSWORD, Client
from tests.leadctl.proxy import Proxy
from tests.leadctl.test_http import CA, listening
from tests.system.programs import BIN, LEADCTL

SHELLS = ("bash", "zsh", "fish")
DEFAULT = ["PENDING", "REACHED_OUT", "ENGAGED", "DECLINED"]
UNSAFE_IN_A_SHELL = [
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
def test_each_shell_has_its_script(anonymous: Client, shell: str) -> None:
    script = anonymous.data("completion", shell)
    assert "_LEADCTL_COMPLETE=complete_" + shell in script
    assert anonymous.run("completion", "tcsh").returncode == 2


def completed(client: Client, *words: str) -> list[str]:
    """Return bash's completions of the last word."""
    script = f"""
        source /dev/stdin <<< "$SCRIPT"
        COMP_WORDS=({shlex.join(["leadctl", *words])}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _leadctl_completion leadctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**client.environment, "SCRIPT": client.data("completion", "bash")}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=client.home, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def answered(client: Client, shell: str, line: str, **environment: str) -> str:
    """Return the completions as the shell's script reads them."""
    asking = {
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_LEADCTL_COMPLETE": f"complete_{shell}",
    }
    done = subprocess.run(
        [LEADCTL], env=client.environment | asking | environment, cwd=client.home, capture_output=True, timeout=60
    )
    assert done.stderr == b""
    return done.stdout.decode()


def stats_of(*states: str) -> bytes:
    """Return a raw stats response with these states."""
    mails = {"queued": 0, "failed": 0}
    numbers = {"total": 1, "states": dict.fromkeys(states, 1), "days": {"2026-11-01": 1}, "mails": mails}
    numbers |= {"state_keys": {}, "suspect": 0, "oldest_waiting": None}
    body = json.dumps(numbers).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("shell", "state"), [*((shell, UNSAFE_IN_A_SHELL[0]) for shell in SHELLS), *(("zsh", s) for s in UNSAFE_IN_A_SHELL)]
)
def test_unsafe_states_are_not_offered(anonymous: Client, shell: str, state: str) -> None:
    with Proxy(anonymous.url, answers=[stats_of("FIRST", state)]) as server:
        answer = answered(anonymous, shell, "leadctl set-state ", LEADCTL_URL=server.url, LEADCTL_TOKEN="t")
    assert b"/internal/stats" in server.asked
    assert [word for word in answer.replace('"', " ").split() if word.isupper()] == DEFAULT
    assert "touch" not in answer


def test_bash_is_offered_no_unsafe_state(anonymous: Client) -> None:
    for state in ("$(touch x)", "PENDING;touch${IFS}x;#"):
        with Proxy(anonymous.url, answers=[stats_of(state)]) as server:
            anonymous.environment |= {"LEADCTL_URL": server.url, "LEADCTL_TOKEN": "t"}
            assert completed(anonymous, "set-state", "") == DEFAULT
    assert not (anonymous.home / "x").exists()


def test_custom_states_are_offered(anonymous: Client) -> None:
    with Proxy(anonymous.url, answers=[stats_of("NEW", "STEP_2")]) as server:
        anonymous.environment |= {"LEADCTL_URL": server.url, "LEADCTL_TOKEN": "t"}
        assert completed(anonymous, "set-state", "") == ["NEW", "STEP_2"]


def test_states_are_completed_in_lower_case_too(anonymous: Client) -> None:
    assert completed(anonymous, "set-state", "re") == ["reached_out"]
    assert completed(anonymous, "list", "--state", "RE") == ["REACHED_OUT"]
    assert completed(anonymous, "list", "--state", "pending,en") == ["pending,engaged"]


def test_times_are_completed(anonymous: Client) -> None:
    assert completed(anonymous, "list", "--since", "") == ["today", "yesterday"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["42-$(touch x).pdf", "cv"])
def test_the_shell_completes_file_names_by_itself(anonymous: Client, shell: str, name: str) -> None:
    answer = answered(anonymous, shell, f"leadctl import '{name}'")
    assert answer.strip() == ("_files" if shell == "zsh" else "")


@pytest.mark.parametrize("shell", ["zsh"])
def test_completion_runs_no_password_command(client: Client, shell: str) -> None:
    program = client.home / "password"
    program.write_text(f"#!/bin/sh\necho run >> {client.home}/runs\necho '{PASSWORD}'\n")
    program.chmod(0o700)
    client.data("login", "--profile", "cron", "-u", "peter", "--password-command", str(program))
    file = next(client.home.rglob("credentials.json"))
    credentials = json.loads(file.read_text())
    for token in (None, "bm90IGdvb2Q"):
        credentials["profiles"]["cron"]["token"] = token
        file.write_text(json.dumps(credentials))
        assert "DECLINED" in answered(client, shell, "leadctl --profile cron set-state ")
    assert (client.home / "runs").read_text() == "run\n", "by the login"
    assert json.loads(file.read_text()) == credentials


def test_completion_uses_the_options_of_the_command_line(anonymous: Client) -> None:
    with listening(tls=True) as server:
        assert "DECLINED" in answered(anonymous, "bash", f"leadctl --url {server.url} set-state ", LEADCTL_TOKEN="t")
        assert server.heard == []
        answered(anonymous, "bash", f"leadctl --url {server.url} --cacert {CA} set-state ", LEADCTL_TOKEN="t")
        assert server.heard == [("GET", "/internal/stats", "Bearer t")]
    with listening() as proxy:
        proxied = {"LEADCTL_TOKEN": "t", "http_proxy": proxy.url}
        answered(anonymous, "bash", "leadctl --url http://intake.invalid set-state ", **proxied)
        assert proxy.heard == []
        answered(anonymous, "bash", "leadctl --url http://intake.invalid --insecure-http set-state ", **proxied)
        assert proxy.heard == [("GET", "http://intake.invalid/internal/stats", "Bearer t")]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("line", ["leadctl --profile ", "leadctl set-state ", "leadctl --url nonsense set-state "])
def test_completion_fails_silently(anonymous: Client, shell: str, line: str) -> None:
    credentials = anonymous.home / ".config" / "leadctl" / "credentials.json"
    credentials.mkdir(parents=True)  # unreadable
    answer = answered(anonymous, shell, line)
    assert ("PENDING" in answer) == ("set-state" in line)
    assert answered(anonymous, shell, line, COMP_WORDS="", COMP_CWORD="x", XDG_CONFIG_HOME="\udcff") is not None


def test_only_valid_profile_names_are_offered(client: Client) -> None:
    file = next(client.home.rglob("credentials.json"))
    credentials = json.loads(file.read_text())
    credentials["profiles"] = {name: {"url": "http://127.0.0.1:1"} for name in ("good", "$(touch x)", "*")}
    file.write_text(json.dumps(credentials))
    assert completed(client, "--profile", "") == ["good"]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 503 Busy\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n"])
def test_completion_does_not_wait_for_a_slow_server(anonymous: Client, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Proxy(url, answers=[answer] if answer else None) as busy:
            shown = answered(anonymous, "bash", "leadctl set-state ", LEADCTL_URL=busy.url, LEADCTL_TOKEN="t")
            assert shown.split() == DEFAULT
            assert time.monotonic() - began < 10
            server.close()


def test_the_servers_states_are_completed(client: Client, anonymous: Client) -> None:
    assert completed(client, "set-state", "REA") == ["REACHED_OUT"]
    assert completed(client, "list", "--state", "") == ["PENDING", "REACHED_OUT", "ENGAGED", "DECLINED"]
    assert completed(anonymous, "set-state", "--from", "EN") == ["ENGAGED"], "default states without a login"


def test_profiles_are_completed(client: Client) -> None:
    client.data("login", "--profile", "prod", "-u", "peter", "--password-stdin", typed=PASSWORD)
    assert completed(client, "--profile", "p") == ["prod"]


def test_columns_are_completed(anonymous: Client) -> None:
    assert completed(anonymous, "list", "--columns", "f") == ["f_name"]
    assert completed(anonymous, "list", "--columns", "id,CV_name,") == [
        f"id,CV_name,{name}" for name in ("email", "f_name", "l_name", "state", "created_at", "suspect")
    ]
    assert completed(anonymous, "mail", "list", "--columns", "id,me") == ["id,message_id"]
    assert completed(anonymous, "watch", "--columns", "id,st") == ["id,state"]
    assert "id,email" in answered(anonymous, "zsh", "leadctl list --columns id,e")


def test_help_topics_are_completed(anonymous: Client) -> None:
    assert completed(anonymous, "help", "ex") == ["export-person", "exit-codes"]


@pytest.mark.parametrize("length", [0, 4, 12])
def test_own_change_ids_are_completed(client: Client, admin: Client, length: int) -> None:
    theirs, change = changed(admin, client.submit()), changed(client, client.submit())
    offered = completed(client, "undo", change[:length])
    assert (change if length > 8 else change[:8]) in offered
    assert theirs[:8] not in offered
    assert all(re.fullmatch("[0-9a-f]{8}", one) for one in offered) or length > 8


def test_commands_and_options_are_completed(anonymous: Client) -> None:
    assert completed(anonymous, "set") == ["set-state"]
    assert "--state" in completed(anonymous, "list", "--st")
    assert completed(anonymous, "audit", "--action", "login") == ["login", "login-failed", "login-allowed"]

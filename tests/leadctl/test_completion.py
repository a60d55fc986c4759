"""leadctl completion."""

import shlex
import subprocess

import pytest

from tests.leadctl.conftest import PASSWORD, Office
from tests.system.programs import BIN


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
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
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


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
    assert completed(stranger, "audit", "--action", "login") == ["login", "login-failed"]

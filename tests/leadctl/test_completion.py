"""leadctl completion."""

import subprocess

import pytest

from tests.leadctl.conftest import Office
from tests.system.programs import BIN


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(stranger: Office, shell: str) -> None:
    script = stranger.data("completion", shell)
    assert "_LEADCTL_COMPLETE=complete_" + shell in script
    assert stranger.run("completion", "tcsh").returncode == 2


def completed(office: Office, line: str) -> list[str]:
    """Return what bash would offer for the last word of the line."""
    script = f"""
        source /dev/stdin <<< "$SCRIPT"
        COMP_WORDS=({line}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _leadctl_completion leadctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**office.environment, "SCRIPT": office.data("completion", "bash")}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_commands_and_options_are_completed(stranger: Office) -> None:
    assert completed(stranger, "leadctl set") == ["set-state"]
    assert "--state" in completed(stranger, "leadctl list --st")

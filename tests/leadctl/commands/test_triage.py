"""`leadctl triage`: the command line. Its screens are in tests/leadctl/triage, tests/system and tests/tmux."""

import subprocess
import sys

import pytest

from tests.leadctl.conftest import Client


@pytest.mark.parametrize("flags", [[], ["--plain"]])
def test_without_a_terminal_it_is_a_usage_error(client: Client, flags: list[str]) -> None:
    done = client.run("triage", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "leadctl: triage needs a terminal; in scripts, use leadctl list and leadctl set-state\n"


def test_other_commands_do_not_import_textual(client: Client) -> None:
    program = "import runpy, sys, contextlib\nwith contextlib.suppress(SystemExit):\n runpy.run_module('leadctl')\n"
    for arguments in (["list", "-n", "1"], ["triage", "--help"], ["stats"]):
        done = subprocess.run(
            [sys.executable, "-c", f"{program}assert 'textual' not in sys.modules", *arguments],
            env=client.environment,
            cwd=client.home,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

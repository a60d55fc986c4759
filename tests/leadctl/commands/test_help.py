"""leadctl help."""

import pytest

from leadctl.cli import COMMANDS
from leadctl.errors import ExitCode
from tests.leadctl.conftest import Office


def test_the_exit_codes(stranger: Office) -> None:
    lines = stranger.data("help", "exit-codes").splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [[str(int(code)), code.meaning] for code in ExitCode]


def test_a_commands_help_is_its_own(stranger: Office) -> None:
    assert stranger.data("help", "set-state") == stranger.data("set-state", "--help")
    assert stranger.data("help") == stranger.data("--help")
    assert stranger.run("help", "lost").returncode == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_has_two_examples(stranger: Office, name: str) -> None:
    helped = stranger.data(name, "--help")
    assert helped.count("leadctl ") >= 3, helped


def test_a_slip_is_asked_about(stranger: Office) -> None:
    done = stranger.run("lst")
    assert done.returncode == 2
    assert "Did you mean 'list'" in done.stderr

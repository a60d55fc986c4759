"""leadctl help."""

import pytest

from leadctl.cli import COMMANDS
from leadctl.errors import ExitCode
from tests.leadctl.conftest import Client


def test_the_exit_codes(anonymous: Client) -> None:
    lines = anonymous.data("help", "exit-codes").splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [[str(int(code)), code.meaning] for code in ExitCode]


def test_help_prints_the_help_of_a_command(anonymous: Client) -> None:
    assert anonymous.data("help", "set-state") == anonymous.data("set-state", "--help")
    assert anonymous.data("help") == anonymous.data("--help")
    assert anonymous.run("help", "lost").returncode == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_has_two_examples(anonymous: Client, name: str) -> None:
    helped = anonymous.data(name, "--help")
    assert helped.count("leadctl ") >= 3, helped


def test_a_misspelt_command_has_a_suggestion(anonymous: Client) -> None:
    done = anonymous.run("lst")
    assert done.returncode == 2
    assert "Did you mean 'list'" in done.stderr

"""leadctl help."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from leadctl.cli import COMMANDS, app
from leadctl.errors import ExitCode
from tests.leadctl.conftest import Client
from tests.system.terminal import Terminal, lines


def test_the_exit_codes(anonymous: Client) -> None:
    lines = anonymous.data("help", "exit-codes").splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [[str(int(code)), code.meaning] for code in ExitCode]


@pytest.mark.parametrize("columns", [80, 40])
def test_the_exit_codes_are_wrapped_between_words(anonymous: Client, columns: int) -> None:
    shown = lines(Terminal(anonymous, "help", "exit-codes", columns=columns).end()[1])
    assert max(map(len, shown)) <= columns
    assert " ".join(" ".join(shown).split()).startswith("0 success, also if there was nothing left to do 1 failure")


def test_help_prints_the_help_of_a_command(anonymous: Client) -> None:
    assert anonymous.data("help", "set-state") == anonymous.data("set-state", "--help")
    assert anonymous.data("help") == anonymous.data("--help")
    for topics in (["lost"], ["users", "lost"], ["list", "lost"]):
        assert anonymous.run("help", *topics).returncode == 2


def test_help_of_a_subcommand_and_a_short_option(anonymous: Client) -> None:
    helped = anonymous.data("users", "list", "--help")
    assert "Usage: leadctl users list" in helped
    assert anonymous.data("help", "users", "list") == anonymous.data("users", "list", "-h") == helped
    assert anonymous.data("-h") == anonymous.data("--help")


def paths(command: Any, *above: str) -> Iterator[tuple[list[str], str]]:
    """Yield each command's path and its help text, as it is written."""
    for name in command.list_commands(None):
        found = command.get_command(None, name)
        yield [*above, name], found.help
        if hasattr(found, "list_commands"):
            yield from paths(found, *above, name)


@pytest.mark.parametrize("columns", ["40", "80"])
def test_summaries_are_whole_and_examples_are_unwrapped(anonymous: Client, columns: str) -> None:
    groups: dict[tuple[str, ...], str] = {}
    for path, text in paths(typer.main.get_command(app)):
        group = tuple(path[:-1])
        if group not in groups:
            groups[group] = anonymous.data(*group, "--help", COLUMNS=columns).partition("Commands:\n")[2]
        shown = groups[group]
        summary = re.split(r"(?<=\.)\s", text)[0]
        assert "".join(summary.split()) in "".join(shown.split()), path
        helped = anonymous.data(*path, "--help", COLUMNS=columns).splitlines()
        for example in re.findall(r"^ +leadctl .*", text, re.MULTILINE):
            assert f"    {example.strip()}" in helped
            assert len(example.strip()) <= 76, "fits 80 columns with its indentation"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_has_two_examples(anonymous: Client, name: str) -> None:
    helped = anonymous.data(name, "--help")
    assert helped.count("\n    leadctl ") >= 2, helped


def test_a_misspelt_command_has_a_suggestion(anonymous: Client) -> None:
    done = anonymous.run("lst")
    assert done.returncode == 2
    assert "Did you mean 'list'" in done.stderr


def test_a_misspelt_option_has_suggestions_the_closest_first(anonymous: Client) -> None:
    done = anonymous.run("list", "--stat", "PENDING")
    assert (done.returncode, done.stderr) == (
        2,
        "leadctl: no such option: --stat. Did you mean '--state'? (see leadctl list --help)\n",
    )


@pytest.mark.parametrize(
    "arguments", [["erase", "--reason", "x"], ["mail", "list", "--failed"], ["set-state", "--note", "x"]]
)
def test_an_option_that_is_not_nearly_the_same_is_not_suggested(anonymous: Client, arguments: list[str]) -> None:
    done = anonymous.run(*arguments)
    assert (done.returncode, "no such option: --" in done.stderr, "mean" in done.stderr) == (2, True, False)


def test_a_misspelt_topic_has_a_suggestion(anonymous: Client) -> None:
    for topics, meant in (("setstate", "set-state"), ("exit-code", "exit-codes"), ("users disabel", "disable")):
        done = anonymous.run("help", *topics.split())
        start = f"leadctl: there is no command {topics!r} (did you mean {meant}?); "
        assert (done.returncode, done.stderr[: len(start)]) == (2, start)
    assert "exit-codes" in anonymous.data("--help")

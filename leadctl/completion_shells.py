"""Shell completion that offers nothing a shell would run, and prints no messages."""

import os
import re
import sys

from typer._click.shell_completion import CompletionItem, ShellComplete, add_completion_class
from typer._completion_classes import BashComplete, FishComplete, ZshComplete

_HARMLESS = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class _Harmless(ShellComplete):
    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what can be offered. zsh evaluates it, and bash inserts it without quotes.

        File names are left to the shell, which quotes them: a sender may have chosen them.
        """
        items = super().get_completions(args, incomplete)
        return [item for item in items if item.type == "plain" and _HARMLESS.fullmatch(item.value)]


class _Bash(_Harmless, BashComplete):
    pass


class _Zsh(_Harmless, ZshComplete):
    pass


class _Fish(_Harmless, FishComplete):
    pass


def prepare() -> None:
    """Complete for the shells that `leadctl completion` has a script for; the command line being typed stays clean."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell, shell.name)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open to the end

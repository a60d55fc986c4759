"""Shell completion that offers only words that are safe in a shell, and prints no messages."""

import os
import re
import sys

from typer._click.shell_completion import CompletionItem, ShellComplete, add_completion_class
from typer._completion_classes import BashComplete, FishComplete, ZshComplete

_SAFE_WORD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._,-]*")


class _SafeComplete(ShellComplete):
    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return only safe words, since zsh evaluates them and bash inserts them unquoted.

        The shell completes and quotes file names itself; a sender may have chosen them.
        """
        items = super().get_completions(args, incomplete)
        return [item for item in items if item.type == "plain" and _SAFE_WORD.fullmatch(item.value)]


class _Bash(_SafeComplete, BashComplete):
    pass


class _Zsh(_SafeComplete, ZshComplete):
    pass


class _Fish(_SafeComplete, FishComplete):
    pass


def prepare() -> None:
    """Install completion for the supported shells, and discard messages, which would disturb the command line."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell, shell.name)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open until exit

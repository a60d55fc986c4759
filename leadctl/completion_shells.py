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


def prepare() -> None:
    """Install completion for the supported shells, and discard messages, which would disturb the command line."""
    for shell in (BashComplete, ZshComplete, FishComplete):
        add_completion_class(type(shell.__name__, (_SafeComplete, shell), {}), shell.name)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open until exit

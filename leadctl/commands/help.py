"""`leadctl help`."""

import shutil
import sys
from difflib import get_close_matches
from textwrap import fill
from typing import Annotated, Any

import typer

from leadctl.completion import help_topics
from leadctl.context import Context
from leadctl.errors import ExitCode, UsageError


def command(
    ctx: typer.Context,
    topics: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND...|exit-codes]", autocompletion=help_topics, help="Command, or exit-codes."),
    ] = None,
) -> None:
    """Show help for a command, or for exit-codes.

    Examples:
      leadctl help users list
      leadctl help exit-codes
    """
    context: Context = ctx.obj
    if topics == ["exit-codes"]:
        width = shutil.get_terminal_size().columns if context.is_terminal else sys.maxsize
        for code in ExitCode:
            context.out.write(fill(f"{code:>3}  {code.meaning}", width, subsequent_indent=" " * 5) + "\n")
        return
    described: Any = ctx.find_root()
    for topic in topics or []:
        command = described.command.get_command(described, topic) if hasattr(described.command, "get_command") else None
        if command is None:
            known = [*getattr(described.command, "commands", ()), *(["exit-codes"] if described is ctx.parent else [])]
            closest = get_close_matches(topic, known, 1)
            meant = f" (did you mean {closest[0]}?)" if closest else ""
            path = described.command_path
            raise UsageError(f"there is no command {' '.join(topics or [])!r}{meant}; {path} --help lists them")
        described = command.make_context(topic, [], described, resilient_parsing=True)
    context.out.write(described.get_help() + "\n")

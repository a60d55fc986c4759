"""`leadctl help`."""

from typing import Annotated, Any

import typer

from leadctl.context import Context
from leadctl.errors import ExitCode, UsageError


def command(
    ctx: typer.Context,
    topic: Annotated[str | None, typer.Argument(metavar="[COMMAND|exit-codes]", help="Command, or exit-codes.")] = None,
) -> None:
    """Show help for a command, or the exit codes.

    Examples:
      leadctl help set-state
      leadctl help exit-codes
    """
    context: Context = ctx.obj
    if topic == "exit-codes":
        context.out.writelines(f"{code:>3}  {code.meaning}\n" for code in ExitCode)
        return
    root = ctx.find_root()
    group: Any = root.command
    if topic is None:
        context.out.write(group.get_help(root) + "\n")
    elif (describe_change := group.get_command(root, topic)) is None:
        raise UsageError(f"there is no command {topic!r}; leadctl help lists them")
    else:
        context.out.write(
            describe_change.get_help(describe_change.make_context(topic, [], root, resilient_parsing=True)) + "\n"
        )

"""`leadctl completion`."""

from typing import Annotated, Literal

import typer
from typer._completion_shared import get_completion_script  # typer has no public function that accepts a shell

from leadctl.context import Context


def command(
    ctx: typer.Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="<bash|zsh|fish>", help="Shell.")],
) -> None:
    """Print a shell completion script.

    Completes commands, options, states, columns, change ids and profiles.

    Examples:
      leadctl completion zsh > ~/.zfunc/_leadctl
      leadctl completion fish > ~/.config/fish/completions/leadctl.fish
    """
    context: Context = ctx.obj
    script = get_completion_script(prog_name="leadctl", complete_var="_LEADCTL_COMPLETE", shell=shell)
    context.out.write(f"{script}\n")

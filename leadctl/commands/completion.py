"""`leadctl completion`."""

from enum import StrEnum

import typer
from typer._completion_shared import get_completion_script  # typer writes it for the shell it runs in, and for no other

from leadctl.context import Context


class Shell(StrEnum):
    """A shell."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def command(ctx: typer.Context, shell: Shell) -> None:
    """Print what makes a shell complete commands, options, states and profiles.

    Examples: leadctl completion bash > ~/.local/share/bash-completion/completions/leadctl

    leadctl completion fish > ~/.config/fish/completions/leadctl.fish
    """
    context: Context = ctx.obj
    script = get_completion_script(prog_name="leadctl", complete_var="_LEADCTL_COMPLETE", shell=shell.value)
    context.out.write(f"{script}\n")

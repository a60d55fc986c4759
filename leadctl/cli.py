"""The `leadctl` command: its table of commands, and the one place where an error becomes an exit code."""

import os
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from leadctl.context import Context
from leadctl.errors import ExitCode, LeadctlError
from leadctl.settings import Settings

# each is loaded only when it is called, or when help for all of them is asked for
COMMANDS: Mapping[str, str] = {
    "login": "leadctl.commands.login",
    "logout": "leadctl.commands.logout",
    "whoami": "leadctl.commands.whoami",
    "list": "leadctl.commands.list_leads",
    "show": "leadctl.commands.show",
    "set-state": "leadctl.commands.set_state",
    "download-cv": "leadctl.commands.download_cv",
    "register-user": "leadctl.commands.register_user",
}


class Commands(TyperGroup):
    """The table, as a group; what goes wrong in one of its commands ends here."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(import_module(COMMANDS[cmd_name]).command)
        return typer.main.get_command(single)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except LeadctlError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            typer.echo(f"leadctl: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError as error:
            # the reader has what it wanted; Python would complain at its last flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(ExitCode.DONE) from error


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    url: Annotated[str | None, typer.Option(help="The server; else LEADCTL_URL, else the last login's.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Triage leads from a terminal or a shell script."""
    if show_version:
        typer.echo(f"leadctl {version('leadctl')}")
        raise typer.Exit
    ctx.obj = Context(Settings.from_environment(os.environ, url=url, debug=debug))


def main() -> None:
    """Run the command line."""
    app()

"""`leadctl login`."""

import time
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.credentials import Credential


def command(
    ctx: typer.Context,
    username: Annotated[str | None, typer.Option("--username", "-u", help="Who you are; asked for if absent.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Log in, and keep the token for the commands that follow.

    The server is then the one that later commands speak to, unless --url or LEADCTL_URL names another.

    Examples: leadctl --url https://intake.example.com login

    leadctl login --username cron --password-stdin < password-file
    """
    context: Context = ctx.obj
    name = username or context.ask("Username", "--username")
    login = context.stranger.login(name, context.password(from_stdin=password_stdin))
    context.credentials.keep(context.url, Credential(name, login.token, time.time() + login.expires_in))
    context.say(f"logged in to {context.url} as {name} for {login.expires_in // 60} minutes")

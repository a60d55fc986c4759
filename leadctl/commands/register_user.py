"""`leadctl register-user`."""

from typing import Annotated

import typer

from leadctl.context import Context


def command(
    ctx: typer.Context,
    username: Annotated[str, typer.Argument(help="1 to 64 of letters, digits, '.', '_', '-' and '@'.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    role: Annotated[str | None, typer.Option(help="admin or attorney; an attorney if absent.")] = None,
) -> None:
    """Make a user: for administrators, or for anyone where the server has open registration.

    Examples: leadctl register-user peter

    leadctl register-user peter --role admin --password-stdin < password-file
    """
    context: Context = ctx.obj
    password = context.password(from_stdin=password_stdin, twice=True)
    context.api_for_anyone.register(username, password, role=role)
    context.say(f"registered {username}")

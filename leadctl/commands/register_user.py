"""`leadctl register-user`."""

from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.options import PasswordStdinOption


def command(
    ctx: typer.Context,
    username: Annotated[str, typer.Argument(metavar="USERNAME", help="1 to 64 letters, digits, '.', '_', '-' or '@'.")],
    password_stdin: PasswordStdinOption = False,
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="admin or attorney. Default: attorney.")] = None,
) -> None:
    """Create a user. For administrators, or for anyone if the server allows open registration.

    Examples:
      leadctl register-user peter
      leadctl register-user peter --role admin --password-stdin < password-file
    """
    context: Context = ctx.obj
    password = context.password(from_stdin=password_stdin, twice=True)
    context.api_with_optional_login.register(username, password, role=role)
    context.info(f"registered {username}")

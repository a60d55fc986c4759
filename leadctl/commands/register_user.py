"""`leadctl register-user`."""

from typing import Annotated

import typer

from leadctl.change_announcement import announce_uncertainty
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
    api = context.api_with_optional_login
    if not password_stdin:
        api.check_registration(username, role=role)  # before the prompt
    password = context.password(from_stdin=password_stdin, what=f"Password of {username}", twice=True)
    with announce_uncertainty(context, f"{username} may have been registered; to see whether: leadctl users list"):
        api.register(username, password, role=role)
    context.info(f"registered {username}")

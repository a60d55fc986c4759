"""`leadctl passwd`."""

from typing import Annotated

import typer

from leadctl.change_announcement import may_have_reached_server
from leadctl.context import Context


def command(
    ctx: typer.Context,
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the old and the new password from standard input, one per line."),
    ] = False,
) -> None:
    """Change your password. Ends your other logins.

    Examples:
      leadctl passwd
      leadctl passwd --password-stdin < old-and-new
    """
    context: Context = ctx.obj
    api = context.api  # fails before the prompt if not logged in
    old = context.password(from_stdin=password_stdin, what="Old password")
    new = context.password(from_stdin=password_stdin, what="New password", twice=True)
    try:
        login = api.change_password(old, new)
    except BaseException as error:  # also Ctrl-C
        if may_have_reached_server(error):
            context.error("the password may have been changed: log in with the new one, or if that fails, the old one")
        raise
    if context.settings.token:
        context.info("password changed; the token in LEADCTL_TOKEN is no longer valid")
        return
    context.session.use_login(login)
    context.info("password changed; your other logins have ended")
    if context.profile.password_command:
        context.info("update the password command to print the new password")

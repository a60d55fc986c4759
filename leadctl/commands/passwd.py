"""`leadctl passwd`."""

from typing import Annotated

import typer

from leadctl.context import Context


def command(
    ctx: typer.Context,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the old and the new one, a line each, from standard input.")
    ] = False,
) -> None:
    """Change your password. Every other login of yours ends.

    Examples: leadctl passwd

    leadctl passwd --password-stdin < old-and-new
    """
    context: Context = ctx.obj
    api = context.api  # who is not logged in need not type anything
    old = context.password(from_stdin=password_stdin, what="Old password")
    new = context.password(from_stdin=password_stdin, what="New password", twice=True)
    login = api.change_password(old, new)
    if context.has_given_token:
        context.say("your password is changed; the token in LEADCTL_TOKEN has ended")
        return
    context.session.take(login)
    context.say("your password is changed, and every other login of yours has ended")
    if context.profile.password_command:
        context.say("see to it that the password-command of this profile prints the new one")

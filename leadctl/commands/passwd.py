"""`leadctl passwd`."""

import re
from typing import Annotated

import typer

from leadctl.change_announcement import announce_uncertainty
from leadctl.context import Context
from leadctl.errors import LeadctlError, UsageError


def command(
    ctx: typer.Context,
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the old and the new password from standard input, one per line."),
    ] = False,
) -> None:
    """Change your password. Ends your other logins.

    Exits with 0 if the password has changed, even if the new token can't be saved; then log in again.

    Examples:
      leadctl passwd
      leadctl passwd --password-stdin < old-and-new
    """
    context: Context = ctx.obj
    api = context.api  # fails before the prompt if not logged in
    old = context.password(from_stdin=password_stdin, what="Old password")
    new = context.password(from_stdin=password_stdin, what="New password", twice=True)
    uncertain = "the password may have been changed: log in with the new one, or if that fails, the old one"
    try:
        with announce_uncertainty(context, uncertain):
            login = api.change_password(old, new)
    except UsageError as error:  # the server names the field of its request
        raise UsageError(re.sub("^new: ", "the new password ", str(error))) from error
    if context.settings.token:
        context.info("password changed; the token in LEADCTL_TOKEN is no longer valid")
        return
    try:
        context.session.use_login(login)
        context.info("password changed; your other logins have ended")
    except BaseException as error:  # also Ctrl-C
        reason = f": {error}" if str(error) else ""
        context.error(f"password changed; only the new token is not saved{reason}. Log in with the new password")
        if not isinstance(error, LeadctlError):  # otherwise a success: a script must store the new password
            raise
    if context.profile.password_command:
        context.info("update the password command to print the new password")

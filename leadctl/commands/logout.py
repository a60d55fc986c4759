"""`leadctl logout`."""

from dataclasses import replace
from typing import Annotated

import typer

from leadctl.context import Context


def command(
    ctx: typer.Context,
    remove: Annotated[
        bool, typer.Option("--remove", help="Forget the whole profile, its name and server, too.")
    ] = False,
) -> None:
    """Forget the token that is kept, and a password-command, which would fetch another.

    Examples: leadctl logout

    leadctl --profile staging logout --remove
    """
    context: Context = ctx.obj
    profile = context.profile
    if profile.name and not remove:
        context.credentials.keep(replace(profile, token=None, expires_at=None, password_command=None), as_current=False)
    else:
        context.credentials.forget(profile)
    context.say(f"logged out of {context.url}")

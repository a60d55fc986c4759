"""`leadctl logout`."""

from dataclasses import replace
from typing import Annotated

import typer

from leadctl.context import Context


def command(
    ctx: typer.Context, remove: Annotated[bool, typer.Option("--remove", help="Delete the whole profile.")] = False
) -> None:
    """Delete the profile's stored token and password command.

    The server accepts a copy of the token until it expires, at most 30 minutes after it was issued.

    Examples:
      leadctl logout
      leadctl --profile staging logout --remove
    """
    context: Context = ctx.obj
    profile = context.profile
    if profile.name and not remove:
        context.credentials.save(
            replace(profile, token=None, expires_at=None, password_command=None), make_current=False
        )
    else:
        context.credentials.delete(profile)
    context.info(f"logged out of {context.url}")

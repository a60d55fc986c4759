"""`leadctl logout`."""

from dataclasses import replace
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import PermissionDenied

_HINT = "Select one of `leadctl profiles` with --profile"


def command(
    ctx: typer.Context, remove: Annotated[bool, typer.Option("--remove", help="Delete the whole profile.")] = False
) -> None:
    """Delete the profile's stored token and password command.

    Exits with 4 if no profile is selected, for example by a --url of another spelling, so that nothing is removed.
    The server accepts a copy of the token until it expires, at most 30 minutes after it was issued.

    Examples:
      leadctl logout
      leadctl --profile staging logout --remove
    """
    context: Context = ctx.obj
    profile = context.profile
    if not profile.name:
        given = "LEADCTL_TOKEN is not stored: unset it. " if context.settings.token else ""
        raise PermissionDenied(f"nothing was removed: no profile is selected for {profile.url}. {given}{_HINT}")
    if remove:
        context.credentials.delete(profile)
        context.info(f"removed profile {profile.name}, for {profile.url}")
    elif not (profile.token or profile.password_command):
        context.info(f"profile {profile.name} is not logged in to {profile.url}; nothing was removed")
    else:
        logged_out = replace(profile, token=None, expires_at=None, password_command=None)
        context.credentials.save(logged_out, make_current=False)
        context.info(f"logged out of {profile.url} (profile {profile.name})")
    if context.settings.token:
        context.info("LEADCTL_TOKEN is still set; commands use it until you unset it")

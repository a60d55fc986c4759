"""`leadctl whoami`."""

from typing import Annotated

import typer

from leadctl.context import Context, time_left
from leadctl.output.formats import OutputFormat, write_record


def command(
    ctx: typer.Context,
    face: Annotated[OutputFormat | None, typer.Option("--output", "-o", help="How to show it.")] = None,
) -> None:
    """Show who is logged in, where, under which profile, and for how long yet.

    The time left is that of the token, in seconds for programs; commands renew it, up to 12 hours from the login.

    Examples: leadctl whoami

    leadctl --profile prod whoami -o json
    """
    context: Context = ctx.obj
    user = context.api.me()
    shown = face or context.default_face
    profile = context.profile if context.has_given_token else context.session.profile
    left = None if context.has_given_token else profile.left_s
    told = {"url": context.url, "profile": profile.name, "time_left": time_left(left, shown)}
    write_record({**user, **told}, face=shown, out=context.out)

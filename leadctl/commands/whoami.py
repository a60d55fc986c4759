"""`leadctl whoami`."""

import typer

from leadctl.context import Context, format_time_left
from leadctl.options import FormatOption


def command(ctx: typer.Context, output: FormatOption = None) -> None:
    """Show the user, the server, the profile and how long the token is valid.

    In a pipe, that time is in seconds. Commands renew the token for up to 12 hours after the login.

    Examples:
      leadctl whoami
      leadctl --profile prod whoami -o json
    """
    context: Context = ctx.obj
    user = context.api.me()
    time_left = format_time_left(context.session.profile.remaining_s, output or context.default_format)
    details = {"url": context.url, "profile": context.profile.name, "time_left": time_left}
    context.show_record({**user, **details}, output)

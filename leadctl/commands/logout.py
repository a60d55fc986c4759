"""`leadctl logout`."""

import typer

from leadctl.context import Context


def command(ctx: typer.Context) -> None:
    """Forget the token that is kept for the server.

    Examples: leadctl logout

    leadctl --url https://intake.example.com logout
    """
    context: Context = ctx.obj
    context.credentials.forget(context.url)
    context.say(f"logged out of {context.url}")

"""`leadctl logout`."""

import typer

from leadctl.context import Context


def command(ctx: typer.Context) -> None:
    """Forget the token that is kept for the server."""
    context: Context = ctx.obj
    context.credentials.forget(context.url)
    context.say(f"logged out of {context.url}")

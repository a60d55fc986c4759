"""`leadctl whoami`."""

from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.output import Face, write_record


def command(
    ctx: typer.Context,
    face: Annotated[Face | None, typer.Option("--output", "-o", help="How to show it.")] = None,
) -> None:
    """Show who is logged in, and where.

    Examples: leadctl whoami

    leadctl --url https://intake.example.com whoami
    """
    context: Context = ctx.obj
    user = {**context.api.me(), "url": context.url}
    write_record(user, face=face or context.default_face, out=context.out)

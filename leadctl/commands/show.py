"""`leadctl show`."""

from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.output import Face, write_record
from leadctl.selection import read_id


def command(
    ctx: typer.Context,
    lead_id: Annotated[str, typer.Argument(metavar="ID")],
    face: Annotated[Face | None, typer.Option("--output", "-o", help="How to show it.")] = None,
) -> None:
    """Show one lead, with what is known of its CV.

    Examples: leadctl show 42

    leadctl show 42 -o json
    """
    context: Context = ctx.obj
    write_record(context.api.lead(read_id(lead_id)), face=face or context.default_face, out=context.out)

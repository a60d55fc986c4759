"""`leadctl show`."""

from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.output import Face, write_record


def command(
    ctx: typer.Context,
    lead_id: Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1)],
    face: Annotated[Face | None, typer.Option("--output", "-o", help="How to show it.")] = None,
) -> None:
    """Show one lead, with what is known of its CV."""
    context: Context = ctx.obj
    write_record(context.api.lead(lead_id), face=face or context.default_face, out=context.out)

"""`leadctl history`."""

from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import Usage
from leadctl.output import Face, write_records
from leadctl.selection import read_id

COLUMNS = ("at", "user", "from", "to", "change")


def command(
    ctx: typer.Context,
    lead_id: Annotated[str, typer.Argument(metavar="ID")],
    face: Annotated[Face | None, typer.Option("--output", "-o", help="How to show it.")] = None,
) -> None:
    """Show who moved a lead, when, and from where to where; oldest first.

    Examples: leadctl history 42

    leadctl history 42 -o json
    """
    context: Context = ctx.obj
    if face is Face.IDS:
        raise Usage("-o is 'ids'; what happened to a lead has none")
    events = context.api.history(read_id(lead_id))
    write_records(events, COLUMNS, face=face or context.default_face, out=context.out)

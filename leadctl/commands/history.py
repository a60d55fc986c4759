"""`leadctl history`."""

from typing import Annotated

import typer

from leadctl.change_ids import shown
from leadctl.context import Context
from leadctl.errors import Usage
from leadctl.lead_ids import read_id
from leadctl.options import ColumnsOption, FaceOption, HeaderOption, RawOption
from leadctl.output.formats import Face, Record

COLUMNS = ("at", "user", "from", "to", "change", "undoes")


def command(
    ctx: typer.Context,
    lead_id: Annotated[str, typer.Argument(metavar="ID")],
    face: FaceOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
) -> None:
    """Show who created a lead by hand and who moved it, when, and from where to where; oldest first.

    `undoes` marks what an undo put back.

    Examples: leadctl history 42

    leadctl history 42 -o json
    """
    context: Context = ctx.obj
    if face is Face.IDS:
        raise Usage("-o is 'ids'; what happened to a lead has none")
    look = context.look(COLUMNS, face=face, only=columns, header=header, raw=raw)
    events = context.api.history(read_id(lead_id))
    context.show([_with_short_ids(event) for event in events] if look.face is Face.TABLE else events, look)


def _with_short_ids(event: Record) -> Record:
    return {**event, **{name: shown(event.get(name), Face.TABLE) for name in ("change", "undoes")}}

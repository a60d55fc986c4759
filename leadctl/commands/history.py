"""`leadctl history`."""

from typing import Annotated

import typer

from leadctl.change_ids import shown
from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.lead_ids import parse_lead_id
from leadctl.options import ColumnsOption, FormatOption, HeaderOption, RawOption
from leadctl.output.formats import OutputFormat, Record

COLUMNS = ("at", "user", "from", "to", "change", "undoes")


def command(
    ctx: typer.Context,
    lead_id: Annotated[str, typer.Argument(metavar="ID")],
    face: FormatOption = None,
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
    if face is OutputFormat.IDS:
        raise UsageError("-o is 'ids'; what happened to a lead has none")
    look = context.look(COLUMNS, face=face, only=columns, header=header, raw=raw)
    events = context.api.history(parse_lead_id(lead_id))
    context.show([_with_short_ids(event) for event in events] if look.face is OutputFormat.TABLE else events, look)


def _with_short_ids(event: Record) -> Record:
    return {**event, **{name: shown(event.get(name), OutputFormat.TABLE) for name in ("change", "undoes")}}

"""`leadctl history`."""

import typer

from leadctl.change_ids import format_change_id
from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.lead_ids import parse_lead_id
from leadctl.options import ColumnsOption, FormatOption, HeaderOption, LeadIdArgument, RawOption
from leadctl.output.formats import OutputFormat, Record

COLUMNS = ("at", "user", "from", "to", "change", "undoes")


def command(
    ctx: typer.Context,
    lead_id: LeadIdArgument,
    output: FormatOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
) -> None:
    """Show the state changes of a lead, oldest first.

    Begins with who entered the lead, if an attorney did. The column undoes has the id of the change that an undo
    reverted.

    Examples:
      leadctl history 42
      leadctl history 42 -o json
    """
    context: Context = ctx.obj
    if output is OutputFormat.IDS:
        raise UsageError("-o ids is not supported: the events of a lead have no ids")
    options = context.output_options(COLUMNS, output=output, selected=columns, header=header, raw=raw)
    events = context.api.history(parse_lead_id(lead_id))
    context.show(
        [_with_short_ids(event) for event in events] if options.output_format is OutputFormat.TABLE else events, options
    )


def _with_short_ids(event: Record) -> Record:
    return {**event, **{name: format_change_id(event.get(name), OutputFormat.TABLE) for name in ("change", "undoes")}}

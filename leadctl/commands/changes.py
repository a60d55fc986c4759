"""`leadctl changes`."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from leadctl.change_ids import format_change_id
from leadctl.context import Context
from leadctl.options import ColumnsOption, FormatOption, HeaderOption, RawOption
from leadctl.output.formats import OutputFormat, Record

COLUMNS = ("id", "at", "user", "from", "to", "count", "undoes", "undone_by")
DEFAULT_LIMIT = 20


def command(
    ctx: typer.Context,
    mine: Annotated[bool, typer.Option("--mine", help="Only your own changes.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="Maximum number of results.")
    ] = DEFAULT_LIMIT,
    output: FormatOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
) -> None:
    """List the changes made by set-state and undo, newest first.

    Changes that changed no lead are omitted. Tables show the first 8 characters of ids, which leadctl undo accepts.

    Examples:
      leadctl changes
      leadctl changes --mine -n 1 -o ids
    """
    context: Context = ctx.obj
    options = context.output_options(COLUMNS, output=output, selected=columns, header=header, raw=raw)
    changes: Iterable[Record] = context.api.changes(limit, mine=mine)
    if options.output_format in (OutputFormat.JSON, OutputFormat.NDJSON):
        context.show(changes, options)
    else:
        context.show(_flat(changes, options.output_format), options)


def _flat(changes: Iterable[Record], output_format: OutputFormat) -> Iterator[Record]:
    for change in changes:
        undone_by = " ".join(str(format_change_id(undoing["id"], output_format)) for undoing in change["undone_by"])
        undoes = format_change_id(change["undoes"], output_format)
        # narrow tables have no room for the column `undoes`
        to = f"undo of {undoes}" if output_format is OutputFormat.TABLE and undoes else change["to"]
        yield {
            **change,
            "id": format_change_id(change["id"], output_format),
            "to": to,
            "undoes": undoes,
            "undone_by": undone_by,
        }

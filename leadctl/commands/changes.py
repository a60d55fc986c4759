"""`leadctl changes`."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from leadctl.change_ids import shown
from leadctl.context import Context
from leadctl.options import ColumnsOption, FormatOption, HeaderOption, RawOption
from leadctl.output.formats import OutputFormat, Record

COLUMNS = ("id", "at", "user", "from", "to", "count", "undoes", "undone_by")
SHOWN = 20


def command(
    ctx: typer.Context,
    mine: Annotated[bool, typer.Option("--mine", help="Only changes that you made.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Maximum number of changes.")] = SHOWN,
    face: FormatOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
) -> None:
    """List changes of many leads, newest first: who, when, from and to what, how many, and what undid them.

    Those that moved no lead are left out. Tables show the first 8 characters of ids, which `leadctl undo` accepts.

    Examples: leadctl changes

    leadctl changes --mine -n 1 -o ids
    """
    context: Context = ctx.obj
    look = context.look(COLUMNS, face=face, only=columns, header=header, raw=raw)
    changes: Iterable[Record] = context.api.changes(limit, mine=mine)
    if look.face in (OutputFormat.JSON, OutputFormat.NDJSON):
        context.show(changes, look)
    else:
        context.show(_flat(changes, look.face), look)


def _flat(changes: Iterable[Record], face: OutputFormat) -> Iterator[Record]:
    for change in changes:
        undone_by = " ".join(str(shown(undoing["id"], face)) for undoing in change["undone_by"])
        undoes = shown(change["undoes"], face)
        # a narrow table has no room for what else tells an undo from a change
        to = f"undo of {undoes}" if face is OutputFormat.TABLE and undoes else change["to"]
        yield {**change, "id": shown(change["id"], face), "to": to, "undoes": undoes, "undone_by": undone_by}

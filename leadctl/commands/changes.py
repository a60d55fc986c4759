"""`leadctl changes`."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.options import ColumnsOption, FaceOption, HeaderOption, RawOption
from leadctl.output import Face, Record

COLUMNS = ("id", "at", "user", "from", "to", "count", "undoes", "undone_by")
SHOWN = 20


def command(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = SHOWN,
    face: FaceOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
) -> None:
    """List changes of many leads, newest first: who, when, from and to what, how many, and what undid them.

    Examples: leadctl changes

    leadctl changes -n 1 -o ids
    """
    context: Context = ctx.obj
    look = context.look(COLUMNS, face=face, only=columns, header=header, raw=raw)
    changes: Iterable[Record] = context.api.changes(limit)
    if look.face in (Face.JSON, Face.NDJSON):
        context.show(changes, look)
    else:
        context.show(_flat(changes, in_words=look.face is Face.TABLE), look)


def _flat(changes: Iterable[Record], *, in_words: bool) -> Iterator[Record]:
    for change in changes:
        undone_by = " ".join(str(undoing["id"]) for undoing in change["undone_by"])
        # a narrow table has no room for what else tells an undo from a change
        to = f"undo of {change['undoes'][:8]}" if in_words and change["undoes"] else change["to"]
        yield {**change, "to": to, "undone_by": undone_by}

"""`leadctl changes`."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.output import Face, Record, write_records

COLUMNS = ("id", "at", "user", "from", "to", "count", "undoes", "undone_by")
SHOWN = 20


def command(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = SHOWN,
    face: Annotated[Face | None, typer.Option("--output", "-o", help="How to show them.")] = None,
) -> None:
    """List changes of many leads, newest first: who, when, from and to what, how many, and what undid them.

    Examples: leadctl changes

    leadctl changes -n 1 -o ids
    """
    context: Context = ctx.obj
    shown = face or context.default_face
    changes: Iterable[Record] = context.api.changes(limit)
    write_records(changes if shown is Face.JSON else _flat(changes), COLUMNS, face=shown, out=context.out)


def _flat(changes: Iterable[Record]) -> Iterator[Record]:
    for change in changes:
        yield {**change, "undone_by": " ".join(str(undoing["id"]) for undoing in change["undone_by"])}

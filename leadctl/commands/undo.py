"""`leadctl undo`."""

from itertools import chain
from typing import Annotated
from uuid import UUID, uuid4

import typer

from leadctl.context import Context
from leadctl.options import FaceOption
from leadctl.output import OUTCOME_COLUMNS


def command(
    ctx: typer.Context,
    change: Annotated[UUID, typer.Argument(metavar="CHANGE", help="As `leadctl changes` lists it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen, and change nothing.")] = False,
    face: FaceOption = None,
) -> None:
    """Put back what a change did, wherever nobody moved the lead since.

    Examples: leadctl undo 6f1a0c1e-58a0-4d0e-9a52-1f6f3c1d2b7a

    leadctl undo --dry-run "$(leadctl changes -n 1 -o ids)"
    """
    context: Context = ctx.obj
    undoing = uuid4()
    if not dry_run:
        context.mention_change(undoing)
    outcomes = list(chain.from_iterable(context.api.undo(change, undoing=undoing, dry_run=dry_run)))
    if dry_run:
        context.show(outcomes, context.look(OUTCOME_COLUMNS, face=face))
    moved = {
        one["id"]: f"lead {one['id']} was moved since, and is {one['state']}"
        for one in outcomes
        if one["result"] != "undone"
    }
    back = len(outcomes) - len(moved)
    context.conclude(f"{back} of {len(outcomes)} leads {'would be' if dry_run else 'are'} back where they were", moved)

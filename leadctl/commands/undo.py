"""`leadctl undo`."""

import sys
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID, uuid4

import typer

from leadctl.change_announcement import announced
from leadctl.change_ids import SHORT, described, read_change
from leadctl.context import Context
from leadctl.errors import Conflict, NotFound
from leadctl.options import FormatOption
from leadctl.output.formats import OUTCOME_COLUMNS, Record


def command(
    ctx: typer.Context,
    change: Annotated[
        str | None,
        typer.Argument(metavar="[CHANGE]", help="An id, or its first 8 characters; if absent, your latest change."),
    ] = None,
    others: Annotated[bool, typer.Option("--others", help="Undo the change even if another user made it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen, and change nothing.")] = False,
    face: FormatOption = None,
) -> None:
    """Put back what a change did, wherever nobody moved the lead since.

    Without CHANGE: your own latest change that moved leads and is not itself an undo, never an earlier one. With -o,
    and in a dry run, the result for each lead is printed.

    Examples: leadctl undo

    leadctl undo --dry-run 6f1a0c1e
    """
    context: Context = ctx.obj
    undone = _latest(context) if change is None else read_change(change, context.api, context.complain)
    try:
        outcomes = _undo(context, undone, others=others, dry_run=dry_run)
    except Conflict as refused:
        if others:
            raise
        _ask(context, undone, refused)
        outcomes = _undo(context, undone, others=True, dry_run=dry_run)
    if dry_run or face:
        context.show(outcomes, context.look(OUTCOME_COLUMNS, face=face))
    _conclude(context, undone, outcomes, are="would be" if dry_run else "are")


def _latest(context: Context) -> UUID:
    found = list(context.api.changes(1, mine=True, undos=False))
    if not found:
        raise NotFound("you have made no change that moved leads")
    context.mention(f"Change {found[0]['id'][:SHORT]}: {described(found[0])}")
    return UUID(found[0]["id"])


def _undo(context: Context, undone: UUID, *, others: bool, dry_run: bool) -> Sequence[Record]:
    undoing = uuid4()
    outcomes: list[Record] = []
    with announced(context, undoing, dry_run=dry_run) as announce:
        for page in context.api.undo(undone, undoing=undoing, others=others, dry_run=dry_run):
            announce(page)
            outcomes += page
    return outcomes


def _ask(context: Context, change: UUID, refused: Conflict) -> None:
    """Ask whether to undo another user's change. Raises Conflict without a terminal, LeadctlError after a no."""
    found = [f" ({described(one)})" for one in context.api.changes(1, start=str(change))]
    about = found[0] if found else ""  # one that moved nothing is not listed
    if not sys.stdin.isatty():
        raise Conflict(f"change {change} was made by another user{about}; give --others to undo it") from refused
    context.confirm(f"Change {str(change)[:SHORT]} was made by another user{about}. Undo it?")


def _conclude(context: Context, change: UUID, outcomes: Sequence[Record], *, are: str) -> None:
    moved = {
        one["id"]: f"lead {one['id']} was moved since, and is {one['state']}"
        for one in outcomes
        if one["result"] == "moved"
    }
    already = sum(one["result"] == "already_undone" for one in outcomes)
    back = len(outcomes) - len(moved) - already
    if already and not (back or moved):
        context.say(f"change {change} is already undone")
        return
    before = f"; {already} were already undone" if already else ""
    context.conclude(f"{back} of {len(outcomes)} leads {are} back where they were{before}", moved)

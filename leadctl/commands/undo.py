"""`leadctl undo`."""

import sys
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID, uuid4

import typer

from leadctl.change_announcement import announce_change
from leadctl.change_ids import SHORT_ID_CHARS, describe_change, resolve_change_id
from leadctl.completion import change_ids
from leadctl.context import Context
from leadctl.errors import Conflict, NotFound
from leadctl.options import DryRunOption, FormatOption, YesOption
from leadctl.output.columns import OUTCOME_COLUMNS
from leadctl.output.console import CONFIRM_FROM
from leadctl.output.formats import Record


def command(
    ctx: typer.Context,
    change: Annotated[
        str | None,
        typer.Argument(
            metavar="[CHANGE]",
            autocompletion=change_ids,
            help="Change id or its first 8 characters. Default: your latest change.",
        ),
    ] = None,
    others: Annotated[bool, typer.Option("--others", help="Also undo another user's change.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: FormatOption = None,
) -> None:
    """Undo a change, except for leads that were changed since.

    Without CHANGE, undoes your latest set-state that changed a lead; if that is already undone, does nothing. On a
    terminal, asks for confirmation before it changes 10 or more leads. With -o or --dry-run, prints the result for each
    lead.

    Examples:
      leadctl undo
      leadctl undo --dry-run 6f1a0c1e
    """
    context: Context = ctx.obj
    change_id = _latest(context) if change is None else resolve_change_id(change, context.api, context.error)
    if not (yes or dry_run):
        _confirm_many(context, change_id, others=others)
    try:
        outcomes = _undo(context, change_id, others=others, dry_run=dry_run)
    except Conflict as conflict:
        if others:
            raise
        _confirm(context, change_id, conflict)
        outcomes = _undo(context, change_id, others=True, dry_run=dry_run)
    if dry_run or output:
        context.show(outcomes, context.output_options(OUTCOME_COLUMNS, output=output))
    _summarize(context, change_id, outcomes, were="would be " if dry_run else "")


def _latest(context: Context) -> UUID:
    found = list(context.api.changes(1, mine=True, undos=False))
    if not found:
        raise NotFound("you have made no change to undo")
    context.verbose(f"Your latest change: {found[0]['id'][:SHORT_ID_CHARS]} ({describe_change(found[0])})")
    return UUID(found[0]["id"])


def _undo(context: Context, change_id: UUID, *, others: bool, dry_run: bool) -> Sequence[Record]:
    undoing = uuid4()
    outcomes: list[Record] = []
    with announce_change(context, undoing, dry_run=dry_run) as announce:
        for page in context.api.undo(change_id, undoing=undoing, others=others, dry_run=dry_run):
            announce(page)
            outcomes += page
    return outcomes


def _confirm_many(context: Context, change: UUID, *, others: bool) -> None:
    """Ask whether to undo a change of many leads; _confirm asks about another user's change."""
    if context.can_ask:
        for found in context.api.changes(1, start=str(change), mine=not others):
            if found["count"] >= CONFIRM_FROM:
                context.confirm(f"Undo change {str(change)[:SHORT_ID_CHARS]} ({describe_change(found)})?")


def _confirm(context: Context, change: UUID, conflict: Conflict) -> None:
    """Ask whether to undo another user's change. Raises Conflict without a terminal, LeadctlError if declined."""
    found = [f" ({describe_change(one)})" for one in context.api.changes(1, start=str(change))]
    about = found[0] if found else ""  # a change that changed nothing is not listed
    if not sys.stdin.isatty():
        raise Conflict(f"change {change} was made by another user{about}; use --others to undo it") from conflict
    context.confirm(f"Change {str(change)[:SHORT_ID_CHARS]} was made by another user{about}. Undo it?")


def _summarize(context: Context, change: UUID, outcomes: Sequence[Record], *, were: str) -> None:
    changed_since = {
        one["id"]: f"lead {one['id']} was changed since and is {one['state']}"
        for one in outcomes
        if one["result"] == "moved"
    }
    already_undone = sum(one["result"] == "already_undone" for one in outcomes)
    restored = len(outcomes) - len(changed_since) - already_undone
    if already_undone and not (restored or changed_since):
        context.info(f"change {change} is already undone")
        return
    before = f"; {already_undone} were already undone" if already_undone else ""
    states = {one["state"] for one in outcomes if one["result"] == "undone"}
    to = f" to {states.pop()}" if len(states) == 1 else ""
    context.summarize(f"{restored} of {len(outcomes)} leads {were}restored{to}{before}", changed_since)

"""`leadctl set-state`."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import uuid4

import typer

from leadctl.change_announcement import announced
from leadctl.completion import states
from leadctl.context import Context
from leadctl.errors import Conflict, LeadctlError, NotFound
from leadctl.lead_ids import read_lead_ids
from leadctl.options import FormatOption
from leadctl.output.formats import OUTCOME_COLUMNS, Record

ASK_FROM = 101


def command(
    ctx: typer.Context,
    state: Annotated[str, typer.Argument(metavar="STATE", autocompletion=states, help="Where to, e.g. REACHED_OUT.")],
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Lead ids; - reads them from standard input.")],
    expected: Annotated[
        str | None,
        typer.Option("--from", autocompletion=states, help="Only leads that are in this state; others are conflicts."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before many leads are moved.")] = False,
    face: FormatOption = None,
) -> None:
    """Move leads to another state: all of them under one change, which `leadctl undo` takes back.

    With -o, and in a dry run, the result for each lead is printed.

    Examples: leadctl set-state REACHED_OUT 42

    leadctl list --state PENDING -o ids | leadctl set-state REACHED_OUT --from PENDING -
    """
    context: Context = ctx.obj
    selection = read_lead_ids(ids, sys.stdin)
    if len(selection.ids) >= ASK_FROM and not (yes or dry_run):
        context.confirm(f"Move {len(selection.ids)} leads to {state}?")
    change = uuid4()
    with announced(context, change, dry_run=dry_run) as announce:

        def move(batch: Sequence[int]) -> list[dict[str, Any]]:
            done = context.api.change_states(batch, state, expected=expected, change=change, dry_run=dry_run)
            announce(done)
            return done

        outcomes = context.in_batches(selection.ids, "Moving leads", move)
    if dry_run or face:
        context.show(outcomes, context.look(OUTCOME_COLUMNS, face=face))
    failures = {one["id"]: failure for one in outcomes if (failure := _failure(one, expected))}
    would = "would be " if dry_run else ""
    if not selection.is_single:
        done = len(outcomes) - len(failures)
        context.conclude(f"{done} of {len(outcomes)} leads {would}moved to {state}", failures)
        return
    for failure in failures.values():
        raise failure
    context.say(f"lead {selection.ids[0]} {would or 'is '}{state}")


def _failure(outcome: Record, expected: str | None) -> LeadctlError | None:
    number = outcome["id"]
    if outcome["result"] == "missing":
        return NotFound(f"there is no lead {number}")
    if outcome["result"] == "conflict":
        return Conflict(f"lead {number} is in state {outcome['state']}, not {expected}")
    return None

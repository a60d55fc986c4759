"""`leadctl set-state`."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import typer

from leadctl.change_announcement import announce_change
from leadctl.completion import STATE
from leadctl.context import Context
from leadctl.errors import Conflict, LeadctlError, NotFound, UsageError
from leadctl.ids import read_ids
from leadctl.options import DryRunOption, FormatOption, LeadIdsArgument, YesOption
from leadctl.output.columns import OUTCOME_COLUMNS
from leadctl.output.console import CONFIRM_FROM
from leadctl.output.formats import OutputFormat, Record
from leadctl.settings import is_state
from leadctl.times import format_relative


def command(
    ctx: typer.Context,
    state: Annotated[str, typer.Argument(**STATE, help="New state, such as REACHED_OUT or reached_out.")],
    ids: LeadIdsArgument,
    expected: Annotated[str | None, typer.Option("--from", **STATE, help="Change only leads in this state.")] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: FormatOption = None,
) -> None:
    """Change the state of leads.

    All leads of a command are one change, which leadctl undo can revert. On a terminal, asks for confirmation before
    it changes 10 or more leads. With -o or --dry-run, prints the result for each lead.

    Examples:
      leadctl set-state REACHED_OUT 42
      leadctl list --since 2d -o ids | leadctl set-state --from PENDING ENGAGED -
    """
    context: Context = ctx.obj
    if state[:1].isdigit():  # no state begins with a digit
        *others, last = ids
        name, others = (last.upper(), others) if is_state(last.upper()) else ("STATE", ids)
        raise UsageError(f"the state comes first: leadctl set-state {' '.join((name, state, *others))}")
    selected, is_single = read_ids(ids)
    if len(selected) >= CONFIRM_FROM and not (yes or dry_run) and context.can_ask:
        # an unknown state is an error before the question
        context.api.set_states(selected[:1], state, expected=expected, change=uuid4(), dry_run=True)
        context.confirm(f"Change the state of {len(selected)} leads to {state}?")
    outcomes = _set_states(context, selected, state, expected=expected, dry_run=dry_run, output=output)
    failures = {one["id"]: failure for one in outcomes if (failure := _failure(one, expected))}
    unchanged = sum(one["result"] == "unchanged" for one in outcomes)
    would = "would be " if dry_run else ""
    if not is_single:
        done = len(outcomes) - len(failures) - unchanged
        already = f"; {unchanged} already {state}" if unchanged else ""
        context.summarize(f"{done} of {len(outcomes)} leads {would}changed to {state}{already}", failures)
        return
    for failure in failures.values():
        raise failure
    context.info(f"{_subject(context, selected[0])} {'is already ' if unchanged else would or 'is '}{state}")


def _set_states(
    context: Context,
    ids: Sequence[int],
    state: str,
    *,
    expected: str | None,
    dry_run: bool,
    output: OutputFormat | None,
) -> Sequence[Record]:
    """Change the leads' states as one change; return the outcomes, and print them if asked for."""
    outcomes: list[Record] = []
    change = uuid4()
    with announce_change(context, change, dry_run=dry_run) as announce:

        def set_batch(batch: Sequence[int]) -> list[dict[str, Any]]:
            done = context.api.set_states(batch, state, expected=expected, change=change, dry_run=dry_run)
            outcomes.extend(done)
            announce(done)
            return [*done]

        try:
            context.run_in_batches(ids, "Changing leads", set_batch)
        finally:  # after an error too: print what is known
            if (dry_run or output) and (outcomes or not ids):
                context.show_results(outcomes, context.output_options(OUTCOME_COLUMNS, output=output))
    return outcomes


def _subject(context: Context, lead_id: int) -> str:
    """Return words for the lead, with its name on a terminal, which is another request."""
    if sys.stderr.isatty():
        with suppress(LeadctlError):
            lead = context.api.lead(lead_id)
            return f"lead {lead_id} ({lead['f_name']} {lead['l_name']})"
    return f"lead {lead_id}"


def _failure(outcome: Record, expected: str | None) -> LeadctlError | None:
    number = outcome["id"]
    if outcome["result"] == "missing":
        return NotFound(f"there is no lead {number}")
    if outcome["result"] == "conflict":
        by, at = outcome.get("by"), outcome.get("at")
        whose = f"; {by} changed it {format_relative(str(at), datetime.now().astimezone())}" if by and at else ""
        return Conflict(f"lead {number} is in state {outcome['state']}, not {expected}{whose}")
    return None

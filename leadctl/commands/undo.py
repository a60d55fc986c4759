"""`leadctl undo`."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Annotated
from uuid import UUID, uuid4

import typer

from leadctl.change_announcement import announce_change
from leadctl.change_ids import SHORT_ID_CHARS, describe_change, resolve_change_id
from leadctl.completion import change_ids
from leadctl.context import Context
from leadctl.errors import Conflict, NotFound, PartialFailure
from leadctl.options import DryRunOption, FormatOption, YesOption
from leadctl.output.columns import OUTCOME_COLUMNS
from leadctl.output.console import CONFIRM_FROM
from leadctl.output.formats import OutputFormat, Record


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
    latest = _latest(context) if change is None else None
    change_id = UUID(latest["id"]) if latest else resolve_change_id(str(change), context.api, context.error)
    is_confirmed = not (yes or dry_run) and _confirm_many(context, change_id, others=others)
    if latest and not is_confirmed:
        context.verbose(f"Your latest change: {latest['id'][:SHORT_ID_CHARS]} ({describe_change(latest)})")
    pages = _undo(context, change_id, others=others, dry_run=dry_run)
    try:
        first = next(pages)
    except Conflict as conflict:
        if others:
            raise
        if not (is_undone := _is_undone(context, change_id)):
            _confirm(context, change_id, conflict)
        pages = _undo(context, change_id, others=True, dry_run=dry_run or is_undone)
        first = next(pages)
    results, states = Counter[str](), set[str]()
    has_list, is_single = dry_run or output is not None, len(first) == 1
    is_listed = has_list and context.is_terminal  # beside a list on the same terminal, no other line about a lead
    has_lines = not (is_listed or is_single)
    outcomes = _counted(context, chain(first, chain.from_iterable(pages)), results, states, has_lines=has_lines)
    if has_list:
        _show_results(context, outcomes, output, dry_run=dry_run)
    for _ in outcomes:  # without output, only count them
        pass
    if is_single and results["moved"] and not is_listed:
        raise PartialFailure(_moved(first[0]))
    _summarize(context, change_id, results, states, were="would be " if dry_run else "")


def _show_results(context: Context, outcomes: Iterable[Record], output: OutputFormat | None, *, dry_run: bool) -> None:
    options = context.output_options(OUTCOME_COLUMNS, output=output)
    if options.output_format is OutputFormat.TABLE:
        undone = "would undo" if dry_run else "undone"
        words = {"undone": undone, "already_undone": "already undone", "moved": "changed since"}
        outcomes = ({**one, "result": words[one["result"]]} for one in outcomes)
    context.show_results(outcomes, options, paged=dry_run)


def _moved(outcome: Record) -> str:
    return f"lead {outcome['id']} was changed since and is {outcome['state']}"


def _latest(context: Context) -> Record:
    found = list(context.api.changes(1, mine=True, undos=False))
    if not found:
        raise NotFound("you have made no change to undo")
    return found[0]


def _undo(context: Context, change_id: UUID, *, others: bool, dry_run: bool) -> Iterator[Sequence[Record]]:
    """Undo a change page by page; yield each page's outcomes, which are not collected: there may be any number."""
    undoing = uuid4()
    with announce_change(context, undoing, dry_run=dry_run) as announce:
        for page in context.api.undo(change_id, undoing=undoing, others=others, dry_run=dry_run):
            announce(page)
            yield page


def _counted(
    context: Context, outcomes: Iterable[Record], results: Counter[str], states: set[str], *, has_lines: bool
) -> Iterator[Record]:
    """Yield the outcomes; count their results, and with `has_lines` print one for each lead that was changed since.

    `states` receives up to two states to which leads were restored.
    """
    for one in outcomes:
        results[one["result"]] += 1
        if one["result"] == "undone" and len(states) < 2:
            states.add(one["state"])
        if has_lines and one["result"] == "moved":
            context.error(f"{one['id']}: {_moved(one)}")
        yield one


def _is_undone(context: Context, change: UUID) -> bool:
    """Return whether the change is undone for all its leads."""
    pages = context.api.undo(change, undoing=uuid4(), others=True, dry_run=True)
    return all({one["result"] for one in page} == {"already_undone"} for page in pages)


def _confirm_many(context: Context, change: UUID, *, others: bool) -> bool:
    """Ask whether to undo a change of many leads; _confirm asks about another user's change.

    Return False without a question, and if the change is already undone.
    """
    found = list(context.api.changes(1, start=str(change), mine=not others)) if context.can_ask else []
    if not found or found[0]["count"] < CONFIRM_FROM or (found[0]["undone_by"] and _is_undone(context, change)):
        return False
    context.confirm(f"Undo change {str(change)[:SHORT_ID_CHARS]} ({describe_change(found[0])})?")
    return True


def _confirm(context: Context, change: UUID, conflict: Conflict) -> None:
    """Ask whether to undo another user's change. Raises Conflict without a terminal, LeadctlError if declined."""
    found = [f" ({describe_change(one)})" for one in context.api.changes(1, start=str(change))]
    about = found[0] if found else ""  # a change that changed nothing is not listed
    refusal = Conflict(f"change {change} was made by another user{about}; use --others to undo it")
    refusal.__cause__ = conflict
    context.confirm(f"Change {str(change)[:SHORT_ID_CHARS]} was made by another user{about}. Undo it?", refusal=refusal)


def _summarize(
    context: Context, change: UUID, results: Mapping[str, int], states: Collection[str], *, were: str
) -> None:
    """Print a summary. Raises PartialFailure if leads were changed since."""
    restored, already, moved = (results[name] for name in ("undone", "already_undone", "moved"))
    if already and not (restored or moved):
        context.info(f"change {change} is already undone")
        return
    before = f"; {already} were already undone" if already else ""
    to = f" to {min(states)}" if len(states) == 1 else ""
    summary = f"{restored} of {restored + already + moved} leads {were}restored{to}{before}"
    if moved:
        raise PartialFailure(summary)
    context.info(summary)

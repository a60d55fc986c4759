"""`leadctl clear-suspect`."""

import typer

from leadctl.context import Context
from leadctl.errors import NotFound
from leadctl.ids import read_ids
from leadctl.options import LeadIdsArgument


def command(ctx: typer.Context, ids: LeadIdsArgument) -> None:
    """Clear suspect leads that are not spam, and queue their mails.

    Afterwards, other commands no longer omit them.

    Examples:
      leadctl clear-suspect 42
      leadctl list --suspect --columns id,suspect
    """
    context: Context = ctx.obj
    selected, is_single = read_ids(ids)
    if is_single:
        is_cleared = context.api.clear_suspect(selected[0])
        context.info(f"lead {selected[0]} {'is no longer' if is_cleared else 'was not'} suspect")
        return
    failures: dict[int, NotFound] = {}
    others: list[int] = []

    def clear(lead_id: int) -> None:
        try:
            if not context.api.clear_suspect(lead_id):
                others.append(lead_id)
                context.info(f"{lead_id}: lead {lead_id} was not suspect")
        except NotFound as error:
            failures[lead_id] = error

    context.for_each(selected, "Clearing leads", clear)
    cleared = len(selected) - len(failures) - len(others)
    also = f"; {len(others)} {'was' if len(others) == 1 else 'were'} not suspect" if others else ""
    context.summarize(f"{cleared} of {len(selected)} leads are no longer suspect{also}", failures)

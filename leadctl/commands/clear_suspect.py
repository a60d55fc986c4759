"""`leadctl clear-suspect`."""

import typer

from leadctl.context import Context
from leadctl.errors import NotFound
from leadctl.lead_ids import read_lead_ids
from leadctl.options import LeadIdsArgument


def command(ctx: typer.Context, ids: LeadIdsArgument) -> None:
    """Clear suspect leads that are not spam, and queue their mails.

    Afterwards, other commands no longer omit them.

    Examples:
      leadctl clear-suspect 42
      leadctl list --suspect --columns id,suspect
    """
    context: Context = ctx.obj
    selected, is_single = read_lead_ids(ids)
    if is_single:
        context.api.clear_suspect(selected[0])
        context.info(f"lead {selected[0]} is no longer suspect")
        return
    failures: dict[int, NotFound] = {}

    def clear(lead_id: int) -> None:
        try:
            context.api.clear_suspect(lead_id)
        except NotFound as error:
            failures[lead_id] = error

    context.for_each(selected, "Clearing leads", clear)
    context.summarize(f"{len(selected) - len(failures)} of {len(selected)} leads are no longer suspect", failures)

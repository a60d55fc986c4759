"""`leadctl set-state`."""

import sys
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import Partly
from leadctl.selection import select


def command(
    ctx: typer.Context,
    state: Annotated[str, typer.Argument(metavar="STATE", help="Where to, e.g. REACHED_OUT.")],
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Lead ids; - reads them from standard input.")],
    expected: Annotated[
        str | None, typer.Option("--from", help="Only leads that are in this state; others are conflicts.")
    ] = None,
) -> None:
    """Move leads to another state.

    Examples: leadctl set-state REACHED_OUT 42

    leadctl list --state PENDING -o ids | leadctl set-state REACHED_OUT --from PENDING -
    """
    context: Context = ctx.obj
    selection = select(ids, sys.stdin)
    if selection.is_single:
        context.api.change_state(selection.ids[0], state, expected=expected)
        context.say(f"lead {selection.ids[0]} is {state}")
        return
    done = context.each(
        selection.ids, "Moving leads", lambda lead_id: context.api.change_state(lead_id, state, expected=expected)
    )
    summary = f"{done} of {len(selection.ids)} leads moved to {state}"
    if done < len(selection.ids):
        raise Partly(summary)
    context.say(summary)

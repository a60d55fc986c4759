"""`leadctl show`."""

from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.lead_ids import parse_lead_id
from leadctl.output.formats import OutputFormat, Record, write_record


def command(
    ctx: typer.Context,
    lead_id: Annotated[str, typer.Argument(metavar="ID")],
    face: Annotated[OutputFormat | None, typer.Option("--output", "-o", help="How to show it.")] = None,
) -> None:
    """Show one lead, with what is known of its CV; at a terminal, with a warning where one is due.

    Examples: leadctl show 42

    leadctl show 42 -o json
    """
    context: Context = ctx.obj
    lead = context.api.lead(parse_lead_id(lead_id))
    write_record(lead, face=face or context.default_face, out=context.out)
    if warning := _warning(lead):
        context.warn(warning)


def _warning(lead: Record) -> str | None:
    """Return what is to be known before the lead's CV is opened, if anything is."""
    by_state = {
        "quarantined": f"the virus scanner found {lead.get('CV_signature')} in it",
        "scanning": "it is not scanned yet",
        "too-large-to-scan": "it is too large to be scanned",
    }
    known = [by_state.get(lead["CV_scan_state"]), f"it has {lead['CV_flags']}" if lead["CV_flags"] else None]
    told = "; ".join(filter(None, known))
    return f"Beware of this CV: {told}." if told else None

"""`leadctl show`."""

import typer

from leadctl.context import Context
from leadctl.lead_ids import parse_lead_id
from leadctl.options import FormatOption, LeadIdArgument
from leadctl.output.columns import LEAD_HEADINGS
from leadctl.output.formats import Record

_FLAGS = {
    "activex": "ActiveX controls",
    "archive": "an archive that was not inspected",
    "embedded-file": "an embedded file",
    "encrypted": "encrypted data",
    "external-template": "a template from another server",
    "javascript": "JavaScript",
    "launch": "a command that starts a program",
    "open-action": "an action that runs when it is opened",
    "unreadable": "unreadable parts",
}


def command(ctx: typer.Context, lead_id: LeadIdArgument, output: FormatOption = None) -> None:
    """Show one lead.

    Includes details of its CV. On a terminal, warns of a dangerous CV, and shows hashes, empty values and exact times
    only with leadctl --verbose.

    Examples:
      leadctl show 42
      leadctl show 42 -o json
    """
    context: Context = ctx.obj
    lead = context.api.lead(parse_lead_id(lead_id))
    context.show_record(lead, output, LEAD_HEADINGS)
    if warning := _warning(lead):
        context.warn(warning)


def _warning(lead: Record) -> str | None:
    """Return a warning to read before opening the CV, or None."""
    scans = {
        "quarantined": f"is infected ({lead.get('CV_signature')})",
        "scanning": "is not scanned yet",
        "too-large-to-scan": "is too large to scan",
    }
    flags = [_FLAGS.get(flag, flag) for flag in lead["CV_flags"].split(",") if flag]
    facts = [scans.get(lead["CV_scan_state"]), f"contains {', '.join(flags)}" if flags else None]
    text = " and ".join(filter(None, facts))
    return f"Caution: this CV {text}" if text else None

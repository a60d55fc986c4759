"""`leadctl submit`."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from leadctl.change_announcement import announce_uncertainty
from leadctl.completion import STATE
from leadctl.context import Context
from leadctl.errors import LeadctlError
from leadctl.files.uploads import upload_lead
from leadctl.output.columns import LEAD_HEADINGS
from leadctl.output.formats import OutputFormat, Record

MAX_OTHERS = 5  # other leads of the address that are mentioned


def command(
    ctx: typer.Context,
    cv: Annotated[Path, typer.Argument(metavar="CV", help="CV file.")],
    email: Annotated[str, typer.Option(metavar="ADDRESS", help="Email address.")],
    f_name: Annotated[str, typer.Option(metavar="NAME", help="First name.")],
    l_name: Annotated[str, typer.Option(metavar="NAME", help="Last name.")],
    notify: Annotated[bool, typer.Option("--notify", help="Send the confirmation and alerts.")] = False,
    state: Annotated[
        str | None, typer.Option(**STATE, help="Initial state. Default: the server's first state.")
    ] = None,
    external_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Id in another system; the lead is saved only once.")
    ] = None,
    output: Annotated[OutputFormat | None, typer.Option("--output", "-o", help="Output format. Default: ids.")] = None,
) -> None:
    """Submit a lead, such as a walk-in, and print its id. Sends mail only with --notify.

    On a terminal, says which other leads have the address, unless --quiet is given.

    Examples:
      leadctl submit --email ada@example.com --f-name Ada --l-name King cv.pdf
      leadctl submit --notify --email b@li.example --f-name Bo --l-name Li cv.pdf
    """
    context: Context = ctx.obj
    optional = {"external_id": external_id, "state": state, "notify": "true" if notify else None}
    fields = {"email": email, "f_name": f_name, "l_name": l_name}
    fields |= {name: value for name, value in optional.items() if value is not None}
    api = context.api  # fails if not logged in
    with announce_uncertainty(context, f"the lead may have been saved; {_advice(email, external_id)}"):
        lead, is_new = upload_lead(api, fields, cv, transfer=lambda size: context.transfer("Uploading the CV", size))
        if output or context.flags.quiet or not context.is_terminal:  # else the message below has the id
            context.show_record(lead, output or OutputFormat.IDS, LEAD_HEADINGS)
            context.out.flush()
    context.info(f"saved as lead {lead['id']}" if is_new else f"lead {lead['id']} already exists; unchanged")
    if context.shows_warnings:
        _mention_others(context, lead)


def _mention_others(context: Context, lead: Record) -> None:
    """Print which other leads have the lead's address."""
    with suppress(LeadctlError):  # the lead is saved
        found = [one["id"] for one in context.api.leads_of(lead["email"], limit=MAX_OTHERS + 1)]
        others = [str(number) for number in found if number != lead["id"]][:MAX_OTHERS]
        if others:
            have = "lead {} has" if len(others) == 1 else "leads {} have"
            context.info(f"{have.format(', '.join(others))} this address, too")


def _advice(email: str, external_id: str | None) -> str:
    if external_id is not None:
        return "run it again: a lead with an external id is saved only once"
    return f"check with: leadctl list --email {shlex.quote(email)} (--external-id avoids duplicates)"

"""`leadctl submit`."""

from pathlib import Path
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import TryAgain
from leadctl.files.uploads import send
from leadctl.output.formats import OutputFormat, write_record


def command(
    ctx: typer.Context,
    cv: Annotated[Path, typer.Argument(metavar="CV", help="The file.")],
    email: Annotated[str, typer.Option(help="The person's address.")],
    f_name: Annotated[str, typer.Option(help="First name.")],
    l_name: Annotated[str, typer.Option(help="Last name.")],
    notify: Annotated[bool, typer.Option("--notify", help="Send the confirmation and the alerts.")] = False,
    state: Annotated[str | None, typer.Option(help="The state that it begins in; the first one if absent.")] = None,
    external_id: Annotated[
        str | None, typer.Option(help="Another system's id of the lead, which is then kept once.")
    ] = None,
    face: Annotated[OutputFormat | None, typer.Option("--output", "-o", help="How to show the lead.")] = None,
) -> None:
    """Enter a lead, such as a walk-in; its id is printed. Nobody is sent a mail without --notify.

    Examples: leadctl submit --email ada@example.com --f-name Ada --l-name Lovelace cv.pdf

    leadctl submit --email ada@example.com --f-name Ada --l-name Lovelace --notify --state ENGAGED -o json cv.pdf
    """
    context: Context = ctx.obj
    optional = {"external_id": external_id, "state": state, "notify": "true" if notify else None}
    fields = {"email": email, "f_name": f_name, "l_name": l_name}
    fields |= {name: value for name, value in optional.items() if value is not None}
    try:
        lead, is_new = send(context.api, fields, cv, transfer=lambda size: context.transfer("Sending the CV", size))
    except TryAgain as error:
        raise TryAgain(f"{error} {_advice(external_id)}", retry_after_s=error.retry_after_s) from error
    write_record(lead, face=face or OutputFormat.IDS, out=context.out)
    context.say(f"lead {lead['id']} is kept" if is_new else f"lead {lead['id']} was there already, and is as it was")


def _advice(external_id: str | None) -> str:
    if external_id is not None:
        return "It can be run again: an external id is kept once."
    return "Look with `leadctl list` before you run it again: it may be kept (--external-id makes that safe)."

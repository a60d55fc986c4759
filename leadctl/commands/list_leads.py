"""`leadctl list`."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import Usage
from leadctl.output import LEAD_COLUMNS, Face, write_records

ON_A_TERMINAL = 50
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Sort(StrEnum):
    """The order of a list."""

    OLDEST_FIRST = "id"
    NEWEST_FIRST = "-id"


def command(
    ctx: typer.Context,
    state: Annotated[list[str] | None, typer.Option("--state", help="In this state; may repeat.")] = None,
    email: Annotated[str | None, typer.Option(help="The whole address, in any case; * stands for anything.")] = None,
    f_name: Annotated[str | None, typer.Option(help="The whole first name, likewise.")] = None,
    l_name: Annotated[str | None, typer.Option(help="The whole last name, likewise.")] = None,
    text: Annotated[str | None, typer.Option("-q", help="A part of the address or of either name.")] = None,
    since: Annotated[str | None, typer.Option(help="Received since: 30m, 12h, 2d, 1w, or 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Received before, likewise.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    sort: Annotated[Sort, typer.Option(help="Oldest or newest first.")] = Sort.NEWEST_FIRST,
    face: Annotated[Face | None, typer.Option("--output", "-o", help="How to show them.")] = None,
) -> None:
    """List leads: a table of the newest on a terminal, all of them, a line each, in a pipe.

    Examples: leadctl list --state PENDING --since 2d

    leadctl list --email '*@example.com' -o ids
    """
    context: Context = ctx.obj
    given = {"state": state, "email": email, "f_name": f_name, "l_name": l_name, "q": text}
    moments = {"since": since and _moment(since, "--since"), "until": until and _moment(until, "--until")}
    filters = {name: value for name, value in {**given, **moments}.items() if value is not None}
    newest_first = sort is Sort.NEWEST_FIRST
    # one more than a terminal shows by itself tells whether there is more
    cut = ON_A_TERMINAL if limit is None and context.is_terminal else None
    leads = context.api.leads(filters, newest_first=newest_first, limit=cut + 1 if cut else limit)
    write_records(islice(leads, cut), LEAD_COLUMNS, face=face or context.default_face, out=context.out)
    if cut and next(leads, None) is not None:
        context.say(f"The first {cut}; more with -n {cut * 10}, and all of them through a pipe.")


def _moment(text: str, flag: str) -> str:
    """Return what the text means as RFC 3339: so long ago, or a date or moment on this machine's clock."""
    now = datetime.now().astimezone()
    try:
        if ago := re.fullmatch(r"(\d{1,6})([mhdw])", text, re.ASCII):
            return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError) as error:
        raise Usage(f"{flag} is {text!r}; expected 30m, 12h, 2d, 1w, 2026-11-01 or 2026-11-01T09:00") from error

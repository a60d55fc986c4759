"""`leadctl list`."""

from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from leadctl.completion import states
from leadctl.context import Context
from leadctl.options import ColumnsOption, FormatOption, HeaderOption, NoPagerOption, RawOption
from leadctl.output.formats import LEAD_COLUMNS
from leadctl.times import parse_timestamp

ON_A_TERMINAL = 50


class Sort(StrEnum):
    """The order of a list."""

    OLDEST_FIRST = "id"
    NEWEST_FIRST = "-id"


def command(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option("--state", autocompletion=states, help="In this state; may repeat.")
    ] = None,
    email: Annotated[str | None, typer.Option(help="The whole address, in any case; * stands for anything.")] = None,
    f_name: Annotated[str | None, typer.Option(help="The whole first name, likewise.")] = None,
    l_name: Annotated[str | None, typer.Option(help="The whole last name, likewise.")] = None,
    text: Annotated[str | None, typer.Option("-q", help="A part of the address or of either name.")] = None,
    since: Annotated[str | None, typer.Option(help="Received since: 30m, 12h, 2d, 1w, or 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Received before, likewise.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    sort: Annotated[Sort, typer.Option(help="Oldest or newest first.")] = Sort.NEWEST_FIRST,
    face: FormatOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
    no_pager: NoPagerOption = False,
) -> None:
    """List leads: a table of the newest on a terminal, all of them, a line each, in a pipe.

    Examples: leadctl list --state PENDING --since 2d

    leadctl list --email '*@example.com' -o csv --columns id,f_name,l_name > leads.csv
    """
    context: Context = ctx.obj
    look = context.look(LEAD_COLUMNS, face=face, only=columns, header=header, raw=raw)
    given = {"state": state, "email": email, "f_name": f_name, "l_name": l_name, "q": text}
    moments = {
        "since": since and parse_timestamp(since, "--since"),
        "until": until and parse_timestamp(until, "--until"),
    }
    filters = {name: value for name, value in {**given, **moments}.items() if value is not None}
    newest_first = sort is Sort.NEWEST_FIRST
    # one more than a terminal shows by itself tells whether there is more
    cut = ON_A_TERMINAL if limit is None and context.is_terminal else None
    leads = context.api.leads(filters, newest_first=newest_first, limit=cut + 1 if cut else limit)
    context.show(islice(leads, cut), look, paged=not cut and not no_pager)
    if cut and next(leads, None) is not None:
        context.say(f"The first {cut}; more with -n {cut * 10}, and all of them through a pipe.")

"""`leadctl list`."""

from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from leadctl.completion import states
from leadctl.context import Context
from leadctl.options import (
    ColumnsOption,
    FormatOption,
    HeaderOption,
    LimitOption,
    NoPagerOption,
    RawOption,
    SinceOption,
    UntilOption,
)
from leadctl.output.columns import LEAD_COLUMNS
from leadctl.times import parse_range


class Sort(StrEnum):
    """Sort orders."""

    OLDEST_FIRST = "id"
    NEWEST_FIRST = "-id"


def command(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", autocompletion=states, metavar="STATE", help="Only leads in this state; repeatable."),
    ] = None,
    email: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Email address; exact match, * is a wildcard.")
    ] = None,
    f_name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="First name; exact match, * is a wildcard.")
    ] = None,
    l_name: Annotated[str | None, typer.Option(metavar="TEXT", help="Last name; exact match, * is a wildcard.")] = None,
    text: Annotated[str | None, typer.Option("-q", metavar="TEXT", help="Part of the email address or a name.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    sort: Annotated[Sort, typer.Option(help="Sort by id; -id is newest first.")] = Sort.NEWEST_FIRST,
    output: FormatOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
    no_pager: NoPagerOption = False,
) -> None:
    """List leads.

    On a terminal, shows the newest as a table; in a pipe, prints all as lines.

    Examples:
      leadctl list --state PENDING --since 2d
      leadctl list --email '*@example.com' -o csv --columns id,l_name > leads.csv
    """
    context: Context = ctx.obj
    options = context.output_options(LEAD_COLUMNS, output=output, selected=columns, header=header, raw=raw)
    texts = {"state": state, "email": email, "f_name": f_name, "l_name": l_name, "q": text}
    times = parse_range(since, until)
    filters = {name: value for name, value in {**texts, **times}.items() if value is not None}
    fetch = partial(context.api.leads, filters, newest_first=sort is Sort.NEWEST_FIRST)
    context.show_first(fetch, options, limit=limit, paged=not no_pager)

"""`leadctl audit`."""

from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.options import ColumnsOption, FormatOption, HeaderOption, NoPagerOption, RawOption
from leadctl.times import parse_timestamp

COLUMNS = ("id", "at", "action", "user", "subject", "lead", "detail", "client", "request_id")
ON_A_TERMINAL = 50


class Action(StrEnum):
    """What there is an entry for."""

    LOGIN = "login"
    LOGIN_FAILED = "login-failed"
    LOGIN_ALLOWED = "login-allowed"
    REGISTRATION = "registration"
    ROLE_CHANGE = "role-change"
    DISABLED = "disabled"
    ENABLED = "enabled"
    PASSWORD = "password"  # noqa: S105 - that it was changed
    DOWNLOAD = "download"
    QUARANTINE_DOWNLOAD = "quarantine-download"
    ERASURE = "erasure"
    EXPORT = "export"
    RETENTION = "retention"
    LEAD_CREATION = "lead-creation"
    LIST = "list"
    MAIL_LIST = "mail-list"
    MAIL_RETRY = "mail-retry"
    ERASURE_PREVIEW = "erasure-preview"


def command(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Option(help="Who did it, or to whom it was done.")] = None,
    action: Annotated[list[Action] | None, typer.Option("--action", help="What was done; may repeat.")] = None,
    lead: Annotated[int | None, typer.Option(help="Done to this lead.", min=1)] = None,
    since: Annotated[str | None, typer.Option(help="Done since: 30m, 12h, 2d, 1w, or 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Done before, likewise.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    face: FormatOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
    no_pager: NoPagerOption = False,
) -> None:
    """Show who did what, newest first: logins, changes of users, downloads, lists, erasures; for administrators.

    Examples: leadctl audit --user bunter --since 7d

    leadctl audit --action login-failed -o csv --columns at,subject,client > failed.csv
    """
    context: Context = ctx.obj
    look = context.look(COLUMNS, face=face, only=columns, header=header, raw=raw)
    moments = {
        "since": since and parse_timestamp(since, "--since"),
        "until": until and parse_timestamp(until, "--until"),
    }
    given = {"user": user, "action": action, "lead": lead, **moments}
    filters = {name: value for name, value in given.items() if value is not None}
    # one more than a terminal shows by itself tells whether there is more
    cut = ON_A_TERMINAL if limit is None and context.is_terminal else None
    entries = context.api.audit(filters, limit=cut + 1 if cut else limit)
    context.show(islice(entries, cut), look, paged=not cut and not no_pager)
    if cut and next(entries, None) is not None:
        context.say(f"The first {cut}; more with -n {cut * 10}, and all of them through a pipe.")

"""`leadctl audit`."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from leadctl.list_command import Listing, list_command
from leadctl.options import SinceOption, UntilOption
from leadctl.times import parse_range

COLUMNS = ("id", "at", "action", "user", "subject", "lead", "detail", "client", "request_id")


class Action(StrEnum):
    """Actions recorded in the audit trail."""

    LOGIN = "login"
    LOGIN_FAILED = "login-failed"
    LOGIN_ALLOWED = "login-allowed"
    REGISTRATION = "registration"
    ROLE_CHANGE = "role-change"
    DISABLED = "disabled"
    ENABLED = "enabled"
    PASSWORD = "password"  # noqa: S105 - a password change
    DOWNLOAD = "download"
    QUARANTINE_DOWNLOAD = "quarantine-download"
    ERASURE = "erasure"
    EXPORT = "export"
    RETENTION = "retention"
    LEAD_CREATION = "lead-creation"
    LIST = "list"
    SEARCH = "search"
    MAIL_LIST = "mail-list"
    MAIL_RETRY = "mail-retry"
    ERASURE_PREVIEW = "erasure-preview"
    CV_TEXT = "cv-text"
    BACKUP = "backup"
    RESTORE = "restore"
    SUSPECT_CLEARED = "suspect-cleared"


@list_command("entries", COLUMNS)
def command(
    listing: Listing,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="By or about this user.")] = None,
    action: Annotated[
        list[Action] | None,
        typer.Option("--action", metavar="ACTION", help="Action, such as login-failed; repeatable."),
    ] = None,
    lead: Annotated[int | None, typer.Option(metavar="ID", help="About this lead.", min=1)] = None,
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Show the audit trail: who did what, newest first. For administrators.

    Examples:
      leadctl audit --user bunter --since 7d
      leadctl audit --action login-failed -o csv --columns at,client > failed.csv
    """
    filters = {"user": user, "action": action, "lead": lead, **parse_range(since, until)}
    listing = replace(listing, options=replace(listing.options, has_exact_times=True))
    listing.show(listing.context.api.audit, filters)

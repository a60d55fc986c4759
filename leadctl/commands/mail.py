"""`leadctl mail list | show | retry`."""

import sys
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import Conflict, LeadctlError, NotFound
from leadctl.lead_ids import parse_lead_id, read_lead_ids
from leadctl.options import ColumnsOption, FormatOption, HeaderOption, NoPagerOption, RawOption
from leadctl.output.formats import OutputFormat, Record, write_record

COLUMNS = ("id", "lead_id", "kind", "recipient", "state", "attempts", "last_error")
ALL_COLUMNS = (*COLUMNS, "next_attempt_at", "created_at", "sent_at", "message_id", "digest_id")
ON_A_TERMINAL = 50
MOST_AT_ONCE = 1_000
_STATES = ("queued", "sent", "failed", "suppressed")
_FORMER_STATES = {"owed": "queued", "dead": "failed"}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List mails and retry failed ones.\n\n"
    "Examples: leadctl mail list --state failed\n\n"
    "leadctl mail list --state failed -o ids | leadctl mail retry -",
)


def _parse_state(text: str) -> str:
    """Return a mail state; the names of earlier versions are accepted until 1.0."""
    if (state := _FORMER_STATES.get(text, text)) not in _STATES:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(_STATES)}.")
    return state


@app.command(name="list")
def list_mails(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            parser=_parse_state,
            metavar=f"[{'|'.join(_STATES)}]",
            autocompletion=lambda: _STATES,
            help="Only mails in this state; may repeat.",
        ),
    ] = None,
    lead: Annotated[int | None, typer.Option(help="Only mails for this lead.", min=1)] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    face: FormatOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
    no_pager: NoPagerOption = False,
) -> None:
    """List mails, newest first.

    Examples: leadctl mail list --state failed

    leadctl mail list --state failed -o ids | leadctl mail retry -
    """
    context: Context = ctx.obj
    look = context.look(COLUMNS, known=ALL_COLUMNS, face=face, only=columns, header=header, raw=raw)
    given = {"state": state, "lead": lead}
    filters = {name: value for name, value in given.items() if value is not None}
    most = limit or (ON_A_TERMINAL if context.is_terminal else None)
    mails = context.api.mails(filters, newest_first=True, limit=most)
    context.show(mails, look, paged=limit is not None and not no_pager)


@app.command()
def show(
    ctx: typer.Context,
    mail_id: Annotated[str, typer.Argument(metavar="ID")],
    face: Annotated[OutputFormat | None, typer.Option("--output", "-o", help="How to show it.")] = None,
) -> None:
    """Show all that is known of one mail."""
    context: Context = ctx.obj
    number = parse_lead_id(mail_id)
    mail = next(context.api.mails({"after": number - 1}, newest_first=False, limit=1), None)
    if mail is None or mail["id"] != number:
        raise NotFound(f"there is no mail {mail_id}")
    write_record(mail, face=face or context.default_face, out=context.out)


@app.command()
def retry(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Mail ids; - reads them from standard input.")],
) -> None:
    """Queue failed mails again; for administrators."""
    context: Context = ctx.obj
    selection = read_lead_ids(ids, sys.stdin)
    # in one request, so that what was told of in one digest is so again
    outcomes = context.in_batches(selection.ids, "Retrying mails", context.api.retry_mails, most=MOST_AT_ONCE)
    failures = {outcome["id"]: _failure(outcome) for outcome in outcomes if outcome["result"] != "revived"}
    if selection.is_single:
        for failure in failures.values():
            raise failure
        context.say(f"mail {selection.ids[0]} is queued again")
        return
    context.conclude(f"{len(outcomes) - len(failures)} of {len(outcomes)} mails are queued again", failures)


def _failure(outcome: Record) -> LeadctlError:
    if outcome["result"] == "missing":
        return NotFound(f"there is no mail {outcome['id']}")
    return Conflict(f"mail {outcome['id']} has not failed")

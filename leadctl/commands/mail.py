"""`leadctl mail list | show | retry`."""

from functools import partial
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import Conflict, LeadctlError, NotFound
from leadctl.ids import parse_id, read_ids
from leadctl.list_command import Listing, list_command, split_commas
from leadctl.options import FormatOption
from leadctl.output.formats import OutputFormat, Record

COLUMNS = ("id", "lead_id", "kind", "recipient", "state", "attempts", "last_error")
ALL_COLUMNS = (*COLUMNS, "next_attempt_at", "created_at", "sent_at", "message_id", "digest_id")
BATCH = 1_000
_STATES = ("queued", "sent", "failed", "suppressed")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List mails and, for administrators, retry failed ones.\n\n"
    "Examples:\n  leadctl mail list --state failed\n  leadctl mail list --state failed -o ids | leadctl mail retry -",
)


def _parse_states(texts: list[str] | None) -> list[str] | None:
    for state in (states := split_commas(texts)) or []:
        if state not in _STATES:
            raise typer.BadParameter(f"{state!r} is not a state of mails; the states are {', '.join(_STATES)}")
    return states


@app.command(name="list")
@list_command("mails", COLUMNS, known=ALL_COLUMNS)
def list_mails(
    listing: Listing,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar=f"[{'|'.join(_STATES)}]",
            parser=str.lower,
            callback=_parse_states,
            autocompletion=lambda: _STATES,
            help="Only mails in this state, or these: queued,failed; upper or lower case; repeatable.",
        ),
    ] = None,
    lead: Annotated[int | None, typer.Option(metavar="ID", help="Only mails for this lead.", min=1)] = None,
) -> None:
    """List mails, newest first.

    Administrators can retry failed mails.

    Examples:
      leadctl mail list --state failed
      leadctl mail list --state failed -o ids | leadctl mail retry -
    """
    listing.show(partial(listing.context.api.mails, newest_first=True), {"state": state, "lead": lead})


@app.command()
def show(
    ctx: typer.Context,
    mail_id: Annotated[str, typer.Argument(metavar="ID", help="Mail id.")],
    output: FormatOption = None,
) -> None:
    """Show one mail.

    Example:
      leadctl mail show 42
    """
    context: Context = ctx.obj
    number = parse_id(mail_id)
    mail = next(context.api.mails({"after": number - 1}, newest_first=False, limit=1), None)
    if mail is None or mail["id"] != number:
        raise NotFound(f"there is no mail {mail_id}")
    if (output or context.default_format) is OutputFormat.TABLE and mail["state"] != "queued":
        mail = {**mail, "next_attempt_at": None}  # the service makes no attempt
    context.show_record(mail, output)


@app.command()
def retry(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Mail ids; - reads them from standard input.")],
) -> None:
    """Queue failed mails again, for immediate delivery. For administrators.

    Example:
      leadctl mail retry 42
    """
    context: Context = ctx.obj
    selected, is_single = read_ids(ids)
    # in one request, so that alerts of one digest stay in one digest
    outcomes = context.run_in_batches(selected, "Queueing mails", context.api.retry_mails, max_batch=BATCH)
    failures = {outcome["id"]: _failure(outcome) for outcome in outcomes if outcome["result"] != "revived"}
    if is_single:
        for failure in failures.values():
            raise failure
        context.info(f"mail {selected[0]} is queued again")
        return
    context.summarize(f"{len(outcomes) - len(failures)} of {len(outcomes)} mails queued again", failures)


def _failure(outcome: Record) -> LeadctlError:
    if outcome["result"] == "missing":
        return NotFound(f"there is no mail {outcome['id']}")
    if outcome["result"] == "suppressed":
        return Conflict(f"mail {outcome['id']} is not sent, because its mailbox had a confirmation meanwhile")
    return Conflict(f"mail {outcome['id']} has not failed; leadctl mail show {outcome['id']} shows its state and why")

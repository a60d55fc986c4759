"""`leadctl erase`."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from leadctl.change_announcement import announce_uncertainty
from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.options import EmailOption, FormatOption
from leadctl.output.columns import LEAD_HEADINGS
from leadctl.output.formats import OutputFormat, OutputOptions, Record

COLUMNS = ("id", "state")
TABLE_COLUMNS = (*COLUMNS, "f_name", "l_name", "email", "created_at")


def command(
    ctx: typer.Context,
    email: EmailOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be erased without erasing it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    output: FormatOption = None,
) -> None:
    """Erase all data of a person: leads, CVs, history and mails. For administrators.

    Prints the erased leads; before, a table shows their names, too. An erasure can't be undone.

    Examples:
      leadctl erase --email ada@example.com --dry-run
      leadctl erase --email ada@example.com --yes
    """
    context: Context = ctx.obj
    options = context.output_options(COLUMNS, output=output, headings=LEAD_HEADINGS)
    if dry_run or not yes:
        refusal = UsageError("can't prompt without a terminal; use --yes, or --dry-run to see what would be erased")
        if not (dry_run or context.can_ask):
            raise refusal
        preview = list(context.api.erase(email, dry_run=True))
        if options.output_format is OutputFormat.TABLE:
            preview = _with_names(preview, context.api.leads_of(email.strip()))
            options = replace(options, columns=TABLE_COLUMNS)
        _show(context, options, preview, "would be erased")
        if dry_run:
            return
        context.confirm("Erase all of this? This can't be undone.", refusal=refusal)
    results: list[dict[str, Any]] = []
    api = context.api  # fails if not logged in
    check = f"check with: leadctl erase --dry-run --email {shlex.quote(email)}"
    try:
        with announce_uncertainty(context, f"data may have been erased; {check}"):
            results.extend(api.erase(email, dry_run=False))
    finally:  # after an error too: report what has been erased
        if results:
            _show(context, options if yes else None, results, "erased")


def _with_names(results: Sequence[dict[str, Any]], leads: Iterable[Record]) -> list[dict[str, Any]]:
    """Return the results with the whole leads that the list knows."""
    known = {lead["id"]: lead for lead in leads}
    return [{**one, "leads": [{**known.get(lead["id"], {}), **lead} for lead in one["leads"]]} for one in results]


def _show(context: Context, options: OutputOptions | None, results: Any, what: str) -> None:
    """Print the totals, what remains after an erasure, and before both the leads if there are output options."""
    results = list(results)
    leads = [one for result in results for one in result["leads"]]
    try:
        if options is not None:
            context.show_results(leads, options)
    finally:  # also if the output can't be written
        _summarize(context, results, len(leads), what)


def _summarize(context: Context, results: Sequence[dict[str, Any]], leads: int, what: str) -> None:
    counts = [(leads, "lead"), (_sum(results, "cvs"), "CV"), (_sum(results, "mails"), "mail")]
    context.info(", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts) + f" {what}")
    for line in [] if results[-1]["dry_run"] else _remaining_lines(results):
        context.error(line)


def _remaining_lines(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each kind of data that remains."""
    lines = []
    if sent := _sum(results, "mails_sent"):
        where = "in the Maildir beside the server's database" if results[-1]["in_maildir"] else "in mailboxes"
        lines.append(f"{sent} mails that were sent are not erased {where}")
    if objects := _sum(results, "objects_left"):
        lines.append(f"{objects} CVs could not be deleted from the server's store yet; the server retries")
    if not results[-1]["swept"]:
        lines.append("the server's database files may contain traces of the erased data for a while")
    return lines


def _sum(results: Sequence[dict[str, Any]], name: str) -> int:
    return sum(result[name] for result in results)

"""`leadctl erase`."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.options import FormatOption
from leadctl.output.formats import OutputOptions

COLUMNS = ("id", "state")


def command(
    ctx: typer.Context,
    email: Annotated[str, typer.Option(help="The person's whole address; nothing in it is a wildcard.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be erased, and erase nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    face: FormatOption = None,
) -> None:
    """Erase all that is kept of a person: leads, CVs, history and mails; for administrators.

    The leads are listed. It can't be undone.

    Examples: leadctl erase --email ada@example.com --dry-run

    leadctl erase --email ada@example.com --yes
    """
    context: Context = ctx.obj
    look = context.look(COLUMNS, face=face)
    if dry_run or not yes:
        if not (dry_run or sys.stdin.isatty()):
            raise UsageError("there is no terminal to ask at: give --yes, or --dry-run to see what would be erased")
        _show(context, look, context.api.erase(email, dry_run=True), "would be erased")
        if dry_run:
            return
        context.confirm("Erase all of this? It can't be undone.")
    answers: list[dict[str, Any]] = []
    try:
        answers.extend(context.api.erase(email, dry_run=False))
    finally:  # what was erased before an error is gone, and told
        if answers:
            _show(context, None if not yes else look, answers, "erased")
            for line in _left(answers):
                context.complain(line)


def _show(context: Context, look: OutputOptions | None, answers: Any, what: str) -> None:
    """Tell how much it is, and list the leads if they are to be shown."""
    answers = list(answers)
    leads = [one for answer in answers for one in answer["leads"]]
    if look is not None:
        context.show(leads, look)
    counts = [(len(leads), "lead"), (_sum(answers, "cvs"), "CV"), (_sum(answers, "mails"), "mail")]
    context.say(", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts) + f" {what}")


def _left(answers: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is to be known of what is not gone, a line each."""
    lines = []
    if sent := _sum(answers, "mails_sent"):
        where = "in the Maildir beside the server's database" if answers[-1]["in_maildir"] else "in mailboxes"
        lines.append(f"mails that were sent are not erased where they went, {where}: {sent}")
    if objects := _sum(answers, "objects_left"):
        lines.append(f"CVs that the server's store could not delete yet; the server retries: {objects}")
    if not answers[-1]["swept"]:
        lines.append("the server's database files may hold traces for a while: see docs/operations.md, People's rights")
    return lines


def _sum(answers: Sequence[dict[str, Any]], name: str) -> int:
    return sum(answer[name] for answer in answers)

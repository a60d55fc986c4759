"""`leadctl cv-text`."""

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import NotFound
from leadctl.lead_ids import parse_lead_id
from leadctl.options import FormatOption, LeadIdArgument
from leadctl.output.escapes import escape_control
from leadctl.output.formats import Record
from leadctl.output.pager import find_pager, write_paged

_DOWNLOAD = "download it: leadctl download-cv {id}"
_FORCE = "if you must: leadctl download-cv --force-quarantined {id}"
# by the reason, or by the state if it has none
_REMEDIES: Mapping[str, tuple[str, str]] = {
    "pending": ("has not been extracted yet", "try again in a minute"),
    "off": ("is not extracted by this server", _DOWNLOAD),
    "empty": ("has no text, as it may be an image or a scan", _DOWNLOAD),
    "encrypted": ("needs a password", _DOWNLOAD),
    "damaged": ("is damaged, or not what its name claims", _DOWNLOAD),
    "unsupported": ("is in a format without text extraction", _DOWNLOAD),
    "timeout": ("takes too long to extract", _DOWNLOAD),
    "crashed": ("can't be extracted: the file crashes its reader, or needs too much memory", _DOWNLOAD),
    "output": ("can't be extracted: its reader returned no valid text", _DOWNLOAD),
    "quarantined": ("is withheld: the CV is quarantined", _FORCE),
    "too-large-to-scan": ("is withheld: the CV was too large for the virus scanner", _FORCE),
}


def command(
    ctx: typer.Context,
    lead_id: LeadIdArgument,
    output: FormatOption = None,
    no_pager: Annotated[bool, typer.Option("--no-pager", help="Do not use a pager.")] = False,
) -> None:
    """Print the text of a CV.

    On a terminal, a text longer than the screen is shown in a pager. Exits with 5 if there is no text, with the reason
    and what to do. The audit trail records that you read it.

    Examples:
      leadctl cv-text 42
      leadctl cv-text 42 -o json
    """
    context: Context = ctx.obj
    number = parse_lead_id(lead_id)
    found = context.api.cv_text(number)
    if output is not None:
        context.show_record(found, output)
    elif found["text"]:
        _write(context, found["text"], is_paged=not no_pager)
    if not found["text"]:
        raise NotFound(_explanation(number, found))
    if found["truncated"]:
        context.warn(f"only the beginning of the text was extracted; {_DOWNLOAD.format(id=number)}")
    if found["guessed"]:
        context.verbose("the file does not name its character encoding, so some letters may be wrong")


def _write(context: Context, text: str, *, is_paged: bool) -> None:
    lines = [_escaped(line) + "\n" for line in text.split("\n")]
    if context.is_terminal and is_paged and (pager := find_pager(os.environ)):
        write_paged(lines, out=context.out, command=pager)
    else:
        context.out.writelines(lines)


def _escaped(line: str) -> str:
    """Return a line with its tabs, but with all other control characters escaped."""
    return "\t".join(map(escape_control, line.split("\t")))


def _explanation(lead_id: int, found: Record) -> str:
    reason = found.get("reason") or found["state"]
    why, remedy = _REMEDIES.get(reason, (f"is not available ({reason})", _DOWNLOAD))
    return f"the text of lead {lead_id}'s CV {why}; {remedy.format(id=lead_id)}"

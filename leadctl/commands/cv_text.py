"""`leadctl cv-text`."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import chain
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import NotFound
from leadctl.ids import read_ids
from leadctl.options import FormatOption, LeadIdsArgument
from leadctl.output.escapes import escape_control
from leadctl.output.formats import OutputFormat, OutputOptions, Record
from leadctl.output.pager import find_pager, write_paged

_DOWNLOAD = "download it: leadctl download-cv {id}"
_FORCE = "if you must: leadctl download-cv --force-quarantined {id}"
# by the reason, or by the state if it has none; each follows "lead 42's CV"
_REMEDIES: Mapping[str, tuple[str, str]] = {
    "pending": ("has no extracted text yet", "try again in a minute"),
    "off": ("has no text, as this server extracts none", _DOWNLOAD),
    "empty": ("has no text, as it may be an image or a scan", _DOWNLOAD),
    "encrypted": ("needs a password", _DOWNLOAD),
    "damaged": ("is damaged, or not what its name claims", _DOWNLOAD),
    "unsupported": ("is in a format without text extraction", _DOWNLOAD),
    "timeout": ("takes too long to read", _DOWNLOAD),
    "crashed": ("can't be read: the file crashes its reader, or needs too much memory", _DOWNLOAD),
    "output": ("can't be read: its reader returned no valid text", _DOWNLOAD),
    "quarantined": ("is quarantined, and its text is withheld", _FORCE),
    "too-large-to-scan": ("was too large for the virus scanner, and its text is withheld", _FORCE),
}


def command(
    ctx: typer.Context,
    ids: LeadIdsArgument,
    output: FormatOption = None,
    no_pager: Annotated[bool, typer.Option("--no-pager", help="Do not use a pager.")] = False,
) -> None:
    """Print the text of a CV, or of several with a heading for each.

    On a terminal, texts longer than the screen are shown in a pager. Exits with 5 if there is no text, with the reason
    and what to do. The audit trail records that you read it.

    Examples:
      leadctl cv-text 42
      leadctl search h-1b python -o ids | leadctl cv-text -
    """
    context: Context = ctx.obj
    selected, is_single = read_ids(ids)
    if not is_single:
        _show_several(context, selected, output, is_paged=not no_pager)
        return
    [number] = selected
    found = context.api.cv_text(number)
    if output is not None:
        context.show_record({"id": number, **found}, output)
    elif found["text"]:
        _write(context, _lines(context, found["text"]), is_paged=not no_pager)
    if not found["text"]:
        raise NotFound(_explanation(number, found))
    if found["truncated"]:
        context.warn(f"only the beginning of the text was extracted; {_DOWNLOAD.format(id=number)}")
    if found["guessed"]:
        context.verbose("the file does not name its character encoding, so some letters may be wrong")


def _show_several(context: Context, ids: Sequence[int], output: OutputFormat | None, *, is_paged: bool) -> None:
    """Write the texts as a list, or each below the id and the name of its lead. Raises PartialFailure."""
    failures: dict[int, NotFound] = {}
    texts = _texts(context, ids, failures)
    if output is not None:
        context.show(texts, OutputOptions(output_format=output, columns=("id", "state", "reason", "text")))
    else:
        _write(context, chain.from_iterable(_section(context, found) for found in texts), is_paged=is_paged)
    if failures:
        context.summarize(f"{len(ids) - len(failures)} of {len(ids)} CVs have a text", failures)


def _texts(context: Context, ids: Sequence[int], failures: MutableMapping[int, NotFound]) -> Iterator[Record]:
    """Yield each text when it is needed, since the audit trail records it."""
    for lead_id in ids:
        try:
            found = context.api.cv_text(lead_id)
        except NotFound as error:
            failures[lead_id] = error
            continue
        if not found["text"]:
            failures[lead_id] = NotFound(_explanation(lead_id, found))
        yield {"id": lead_id, **found}


def _section(context: Context, found: Record) -> Iterator[str]:
    if found["text"]:
        lead = context.api.lead(found["id"])
        yield escape_control(f"==> lead {found['id']}: {lead['f_name']} {lead['l_name']} <==") + "\n"
        yield from _lines(context, found["text"])
        yield "\n"


def _lines(context: Context, text: str) -> Iterator[str]:
    """Yield the lines of a text, on a terminal wrapped, which would break them in the middle of words."""
    if not context.is_terminal:
        return (_escaped(line) + "\n" for line in text.split("\n"))
    from leadctl.triage.pages import Pages, Place  # noqa: PLC0415 - it imports rich

    width = max(shutil.get_terminal_size().columns, 2)
    return (row.rstrip() + "\n" for _, row in Pages(text).below(Place(), width))


def _write(context: Context, lines: Iterable[str], *, is_paged: bool) -> None:
    if context.is_terminal and is_paged and (pager := find_pager(os.environ)):
        write_paged(lines, out=context.out, command=pager)
    else:
        context.out.writelines(lines)


def _escaped(line: str) -> str:
    """Return a line with its tabs, but with all other control characters escaped."""
    return "\t".join(map(escape_control, line.split("\t")))


def _explanation(lead_id: int, found: Record) -> str:
    reason = found.get("reason") or found["state"]
    why, remedy = _REMEDIES.get(reason, (f"has no available text ({reason})", _DOWNLOAD))
    return f"lead {lead_id}'s CV {why}; {remedy.format(id=lead_id)}"

"""`leadctl show`."""

from collections.abc import Iterator, MutableMapping, Sequence

import typer

from leadctl.context import Context
from leadctl.errors import NotFound
from leadctl.ids import read_ids
from leadctl.options import FormatOption, LeadIdsArgument
from leadctl.output.cautions import caution
from leadctl.output.columns import LEAD_COLUMNS, LEAD_HEADINGS
from leadctl.output.formats import OutputFormat, OutputOptions, Record

CV_COLUMNS = ("CV_size", "CV_sha256", "CV_detected_type", "CV_flags", "CV_scan_state")


def command(ctx: typer.Context, ids: LeadIdsArgument, output: FormatOption = None) -> None:
    """Show leads.

    Includes details of their CVs. On a terminal, warns of a dangerous CV, and shows hashes, empty values and exact
    times only with leadctl --verbose. In a pipe, prints one lead as lines of names and values, and several, or those
    read with -, as one row each.

    Examples:
      leadctl show 42 43
      leadctl show 42 -o json
    """
    context: Context = ctx.obj
    selected, is_single = read_ids(ids)
    if is_single:
        lead = context.api.lead(selected[0])
        context.show_record(lead, output, LEAD_HEADINGS)
        _warn(context, lead)
        return
    failures: dict[int, NotFound] = {}
    leads = _leads(context, selected, failures)
    output_format = output or context.default_format
    if output_format is OutputFormat.TABLE:
        _write_tables(context, leads)
    else:
        context.show(leads, OutputOptions(output_format=output_format, columns=(*LEAD_COLUMNS, *CV_COLUMNS)))
    if failures:
        context.summarize(f"{len(selected) - len(failures)} of {len(selected)} leads shown", failures)


def _leads(context: Context, ids: Sequence[int], failures: MutableMapping[int, NotFound]) -> Iterator[Record]:
    for lead_id in ids:
        try:
            lead = context.api.lead(lead_id)
        except NotFound as error:
            failures[lead_id] = error
            continue
        yield lead
        _warn(context, lead, f"the CV of lead {lead_id}")


def _write_tables(context: Context, leads: Iterator[Record]) -> None:
    """Write each lead as a table, with an empty line between two."""
    for number, lead in enumerate(leads):
        if number:
            context.out.write("\n")
        context.show_record(lead, OutputFormat.TABLE, LEAD_HEADINGS)


def _warn(context: Context, lead: Record, subject: str = "this CV") -> None:
    if warning := caution(lead, subject):
        context.warn(warning)

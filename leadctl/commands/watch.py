"""`leadctl watch`."""

import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.list_command import StateFilterOption, columns_option
from leadctl.options import FormatOption, Omitted, SuspectOption
from leadctl.output.columns import LEAD_COLUMNS
from leadctl.output.escapes import escape_json
from leadctl.output.formats import OutputFormat, OutputOptions, Record, lines, write_lines
from leadctl.polling import LeadPoller, follow
from leadctl.times import parse_duration, parse_timestamp

TERMINAL_COLUMNS = ("created_at", "id", "state", "f_name", "l_name", "email", "CV_name")


def command(
    ctx: typer.Context,
    state: StateFilterOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="At or after: 30m, 12h, 2d, 1w (ago), today, yesterday, 2026-11-01 or 2026-11-01T09:00. Default: now.",
        ),
    ] = None,
    interval: Annotated[str, typer.Option(metavar="DURATION", help="Time between polls.")] = "2s",
    command_line: Annotated[
        str | None,
        typer.Option(
            "--exec",
            metavar="COMMAND",
            help="Run COMMAND for each lead, without a shell; its standard input is the lead as JSON.",
        ),
    ] = None,
    output: FormatOption = None,
    columns: Annotated[str | None, columns_option(LEAD_COLUMNS)] = None,
    suspect: SuspectOption = False,
) -> None:
    """Show new leads until Ctrl-C. Retries while the server is unavailable.

    Omits suspect leads, and says how many.

    Examples:
      leadctl watch --state PENDING
      leadctl watch -o ndjson --exec 'notify-send "A new lead"' >> leads.ndjson
    """
    context: Context = ctx.obj
    interval_s = parse_duration(interval, "--interval", minimum=0.1, maximum=3600)
    argv = _parse_command(command_line)
    omitted = Omitted(context.info)

    def find(filters: Mapping[str, Any]) -> Iterator[Record]:
        return context.api.leads({**filters, "include": ["suspect"]}, newest_first=False, limit=None)

    def wait(seconds: float) -> bool:
        omitted.report()  # of one poll
        return _wait(seconds)

    poller = LeadPoller(find, since=None if since is None else parse_timestamp(since, "--since"))
    options = _output_options(context, output, columns)
    _prepare(context, poller, state, from_now=since is None)
    leads = follow(poller, wait=wait, interval_s=interval_s, info=context.info)
    in_states = (lead for lead in leads if not state or lead["state"] in state)
    wanted = in_states if suspect else _without_suspects(in_states, omitted)
    write_lines(_lines(_run_for_each(argv, wanted, context), options), out=context.out, flush_every=1)


def _prepare(context: Context, poller: LeadPoller, states: Sequence[str] | None, *, from_now: bool) -> None:
    """Let the server validate the states, and skip existing leads."""
    filters = {"state": states} if states else {}
    next(context.api.leads(filters, newest_first=True, limit=1), None)
    if from_now:
        poller.skip_existing(next(context.api.leads({}, newest_first=True, limit=1), None))
    if context.is_terminal:
        context.info(f"Watching {context.url}; press Ctrl-C to stop")


def _without_suspects(leads: Iterable[Record], omitted: Omitted) -> Iterator[Record]:
    for lead in leads:
        if lead.get("suspect"):
            omitted.add()
        else:
            yield {name: value for name, value in lead.items() if name != "suspect"}


def _output_options(context: Context, output: OutputFormat | None, columns: str | None) -> OutputOptions:
    usual = TERMINAL_COLUMNS if (output or context.default_format) is OutputFormat.TABLE else LEAD_COLUMNS
    options = context.output_options(usual, output=output, selected=columns, header=False, raw=False)
    if options.output_format is OutputFormat.JSON:
        raise UsageError("-o json is not supported, because the array would never end; use -o ndjson")
    return options


def _lines(leads: Iterable[Record], options: OutputOptions) -> Iterator[str]:
    if options.output_format is not OutputFormat.TABLE:
        return lines(leads, options)
    from leadctl.output.tables import streaming_lines  # noqa: PLC0415 - it imports rich

    return streaming_lines(leads, options.columns)


def _parse_command(text: str | None) -> Sequence[str] | None:
    if text is None:
        return None
    try:
        argv = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--exec is {text!r}: {error}") from error
    if not argv or shutil.which(argv[0]) is None:
        raise UsageError(f"--exec is {text!r}: no such program")
    return argv


def _run_for_each(argv: Sequence[str] | None, leads: Iterable[Record], context: Context) -> Iterator[Record]:
    """Yield the leads; after each, run the command with it."""
    for lead in leads:
        yield lead
        if argv and (error := _run(argv, lead)):
            context.info(f"lead {lead['id']}: {argv[0]} {error}")


def _run(argv: Sequence[str], lead: Record) -> str | None:
    """Run the command for a lead, and return its error, if any."""
    try:
        done = subprocess.run(argv, input=f"{escape_json(lead)}\n".encode(), check=False)  # noqa: S603 - no shell
    except OSError as error:
        return f"can't be run: {error.strerror}"
    return f"failed with exit code {done.returncode}" if done.returncode else None


def _wait(seconds: float) -> bool:
    """Wait, and return whether standard output is still open."""
    if sys.stdout.isatty() or not hasattr(select, "poll"):  # Windows
        time.sleep(seconds)
        return True
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)  # without events, poll only reports a closed pipe
    return not reader.poll(seconds * 1000)

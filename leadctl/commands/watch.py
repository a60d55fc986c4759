"""`leadctl watch`."""

import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from leadctl.completion import states
from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.options import ColumnsOption, FormatOption
from leadctl.output.escapes import escape_json
from leadctl.output.formats import LEAD_COLUMNS, OutputFormat, OutputOptions, Record, lines, write_lines
from leadctl.polling import LeadPoller, follow
from leadctl.times import parse_duration, parse_timestamp

TERMINAL_COLUMNS = ("created_at", "id", "state", "f_name", "l_name", "email", "CV_name")


def command(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option("--state", autocompletion=states, help="Of those in this state; may repeat.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Begin with those since: 30m, 12h, 2d, 1w, or 2026-11-01.")] = None,
    interval: Annotated[str, typer.Option(help="How often to look.")] = "2s",
    program: Annotated[
        str | None, typer.Option("--exec", help="Run this for each lead, with the lead as JSON on standard input.")
    ] = None,
    face: FormatOption = None,
    columns: ColumnsOption = None,
) -> None:
    """Show new leads as they come, until Ctrl-C; a server that is away is waited for.

    Examples: leadctl watch --state PENDING

    leadctl watch -o ndjson --exec 'notify-send "A new lead"' >> leads.ndjson
    """
    context: Context = ctx.obj
    interval_s = parse_duration(interval, "--interval", least=0.1, most=3600)
    to_run = _program(program)
    following = LeadPoller(_found_by(context), since=since and parse_timestamp(since, "--since"))
    look = _look(context, face, columns)
    _begin(context, following, state, from_now=since is None)
    leads = follow(following, wait=_wait_for(context), interval_s=interval_s, say=context.say)
    wanted = (lead for lead in leads if not state or lead["state"] in state)
    write_lines(_lines(_with(to_run, wanted, context), look), out=context.out, flush_every=1)


def _found_by(context: Context) -> Any:
    def find(filters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        return context.api.leads(filters, newest_first=False, limit=None)

    return find


def _begin(context: Context, following: LeadPoller, states: Sequence[str] | None, *, from_now: bool) -> None:
    """Have the states checked by the server, and find out what is there already."""
    filters = {"state": states} if states else {}
    next(context.api.leads(filters, newest_first=True, limit=1), None)
    if from_now:
        following.pass_over(next(context.api.leads({}, newest_first=True, limit=1), None))
    if context.is_terminal:
        context.say(f"Watching {context.url}; Ctrl-C ends it.")


def _look(context: Context, face: OutputFormat | None, columns: str | None) -> OutputOptions:
    usual = TERMINAL_COLUMNS if (face or context.default_face) is OutputFormat.TABLE else LEAD_COLUMNS
    look = context.look(usual, face=face, only=columns, header=False, raw=False)
    if look.face is OutputFormat.JSON:
        raise UsageError("an array would never end; use -o ndjson")
    return look


def _lines(leads: Iterable[Record], look: OutputOptions) -> Iterator[str]:
    if look.face is not OutputFormat.TABLE:
        return lines(leads, look)
    from leadctl.output.tables import running_lines  # noqa: PLC0415 - it imports rich

    return running_lines(leads, look.columns)


def _program(text: str | None) -> Sequence[str] | None:
    if text is None:
        return None
    try:
        program = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--exec is {text!r}: {error}") from error
    if not program or shutil.which(program[0]) is None:
        raise UsageError(f"--exec is {text!r}: there is no such program")
    return program


def _with(program: Sequence[str] | None, leads: Iterable[Record], context: Context) -> Iterator[Record]:
    """Yield the leads; each is handed to the program once it has been shown."""
    for lead in leads:
        yield lead
        if program and (trouble := _run(program, lead)):
            context.say(f"lead {lead['id']}: {program[0]} {trouble}")


def _run(program: Sequence[str], lead: Record) -> str | None:
    """Run the program for a lead, and return what went wrong, if anything did."""
    try:
        done = subprocess.run(program, input=f"{escape_json(lead)}\n".encode(), check=False)  # noqa: S603 - no shell
    except OSError as error:
        return f"can't be run: {error.strerror}"
    return f"failed with exit code {done.returncode}" if done.returncode else None


def _wait_for(context: Context) -> Any:
    """Return a function that waits so many seconds and returns whether anyone may still read what comes."""

    def wait(seconds: float) -> bool:
        if context.is_terminal or not hasattr(select, "poll"):  # Windows
            time.sleep(seconds)
            return True
        reader = select.poll()
        reader.register(context.out.fileno(), 0)  # told of nothing but that a pipe's other end is closed
        return not reader.poll(seconds * 1000)

    return wait

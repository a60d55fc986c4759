"""`leadctl stats`."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import typer

from leadctl.context import Context
from leadctl.options import Omitted, SuspectOption
from leadctl.output.bars import bar, column_chart
from leadctl.output.escapes import escape_control, escape_json
from leadctl.times import format_relative

_BAR = 40  # maximum cells
_ROWS = 4


def command(
    ctx: typer.Context,
    output: Annotated[
        Literal["table", "plain", "json"] | None, typer.Option("--output", "-o", help="Output format.")
    ] = None,
    suspect: SuspectOption = False,
) -> None:
    """Show statistics of leads and mail.

    Shows leads by state and by day, the oldest pending lead, and unsent mail. Does not count suspect leads, and says
    how many there are.

    Examples:
      leadctl stats
      leadctl stats -o plain | grep ^state
    """
    context: Context = ctx.obj
    stats = context.api.stats(with_suspects=suspect)
    context.out.writelines(_FORMATTERS[output or context.default_format](stats))
    if not suspect:
        omitted = Omitted(context.info)
        omitted.add(stats["suspect"])
        omitted.report()


def _json(stats: Mapping[str, Any]) -> Iterator[str]:
    yield escape_json(stats) + "\n"


def _plain(stats: Mapping[str, Any]) -> Iterator[str]:
    """Yield a name and a number on each line."""
    oldest = stats["oldest_waiting"] or {"id": None, "created_at": None}
    numbers = {
        "total": stats["total"],
        "suspect": stats["suspect"],
        **{f"state.{state}": number for state, number in stats["states"].items()},
        **{f"day.{day}": number for day, number in stats["days"].items()},
        **{f"oldest_waiting.{name}": value for name, value in oldest.items()},
        **{f"mails.{name}": number for name, number in stats["mails"].items()},
    }
    return (f"{escape_control(name)}\t{escape_control(value)}\n" for name, value in numbers.items())


def _table(stats: Mapping[str, Any]) -> Iterator[str]:
    from leadctl.output.tables import render  # noqa: PLC0415 - it imports rich

    return render([*_states(stats), [], *_days(stats), [], *_rest(stats)])


def _states(stats: Mapping[str, Any]) -> "Iterator[list[tuple[str, str]]]":
    from leadctl.output.tables import style, terminal_width  # noqa: PLC0415

    states = {escape_control(name): number for name, number in stats["states"].items()}
    margin, digits = max(map(len, [*states, "Leads"])), len(f"{stats['total']:,}")
    room = min(_BAR, (terminal_width() or 80) - margin - digits - 4)
    yield [(f"{'Leads':<{margin}}", "bold"), (f"  {stats['total']:>{digits},}", "bold")]
    for name, number in states.items():
        colour = style("state", name)
        drawn = bar(number, maximum=max(states.values()), cells=max(room, 1))
        yield [(f"{name:<{margin}}", colour), (f"  {number:>{digits},}", ""), (f"  {drawn}" if drawn else "", colour)]


def _days(stats: Mapping[str, Any]) -> "Iterator[list[tuple[str, str]]]":
    from leadctl.output.tables import terminal_width  # noqa: PLC0415

    days = {date.fromisoformat(day): number for day, number in stats["days"].items()}
    first, last = min(days), max(days)
    cells = 2 if 2 * len(days) <= (terminal_width() or 80) else 1
    received = f"  {sum(days.values()):,} in {len(days)} days, {days[last]:,} today (UTC)"
    if len("Received" + received) > (terminal_width() or 80):
        received = received.removesuffix(" (UTC)")
    yield [("Received", "bold"), (received, "")]
    if any(days.values()):
        for row in column_chart(list(days.values()), rows=_ROWS, cells=cells):
            yield [(row.rstrip(), "blue")]
    begin, end = (f"{day.day} {day:%b}" for day in (first, last))
    yield [(f"{begin}{end:>{max(cells * len(days) - len(begin), len(end) + 1)}}", "bright_black")]


def _rest(stats: Mapping[str, Any]) -> "Iterator[list[tuple[str, str]]]":
    oldest, mails = stats["oldest_waiting"], stats["mails"]
    waiting = f"lead {oldest['id']}, {format_relative(oldest['created_at'], datetime.now(UTC))}" if oldest else "none"
    yield [("Oldest pending", "bold"), (f"  {escape_control(waiting)}", "")]
    failed = (f", {mails['failed']:,} failed", "red" if mails["failed"] else "")
    yield [("Mail", "bold"), (f"            {mails['queued']:,} queued", ""), failed]


_FORMATTERS = {"table": _table, "plain": _plain, "json": _json}

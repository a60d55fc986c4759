"""Messages about what has, or may have, happened on the server when a command ends early."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from leadctl.change_ids import SHORT_ID_CHARS
from leadctl.errors import LeadctlError, ServerError, TryAgain, UnexpectedResponse
from leadctl.output.console import IOStreams
from leadctl.output.formats import Record

Announce = Callable[[Iterable[Record]], None]


@contextmanager
def announce_change(streams: IOStreams, change: UUID, *, dry_run: bool) -> Iterator[Announce]:
    """Yield a function to call with each response's outcomes; it prints the change id at the first changed lead.

    After an interruption, a lost connection or a failure of the server, the id is printed in scripts too, because
    undoing the change needs it. A terminal shows the short id, unless --verbose is given, so that the line fits.
    """
    is_short = sys.stderr.isatty() and not streams.flags.verbose
    shown = str(change)[:SHORT_ID_CHARS] if is_short else str(change)
    how = f"to undo it: leadctl undo {shown}"
    has_changed = is_announced = False

    def announce(outcomes: Iterable[Record]) -> None:
        nonlocal has_changed, is_announced
        if not has_changed and any(one["result"] in ("changed", "undone") for one in outcomes):
            has_changed = True
            is_announced = streams.verbose(f"change {shown}; {how}")

    try:
        yield (lambda _outcomes: None) if dry_run else announce
    except BaseException as error:
        if has_changed and not is_announced:
            streams.error(f"change {shown}; {how}")
        elif not (has_changed or dry_run) and may_have_reached_server(error):
            streams.error(f"change {shown} may have been applied; {how}")
        raise


@contextmanager
def announce_uncertainty(streams: IOStreams, text: str) -> Iterator[None]:
    """Print the text if an interruption, a lost connection or a failure leaves the outcome of a request unknown."""
    try:
        yield
    except BaseException as error:  # also Ctrl-C
        if may_have_reached_server(error):
            streams.error(text)
        raise


def may_have_reached_server(error: BaseException) -> bool:
    """Return whether the request may have reached the server before the error."""
    if isinstance(error, TryAgain):
        return type(error.__cause__).__name__ not in ("ConnectError", "ConnectTimeout")
    return not isinstance(error, LeadctlError) or isinstance(error, (ServerError, UnexpectedResponse))

"""The announcement of a change: once it moved a lead, or when its command is interrupted."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from leadctl.errors import LeadctlError, TryAgain
from leadctl.output.console import IOStreams
from leadctl.output.formats import Record

Announce = Callable[[Iterable[Record]], None]


@contextmanager
def announced(streams: IOStreams, change: UUID, *, dry_run: bool) -> Iterator[Announce]:
    """Give a function that takes each response's outcomes, and announces the change at the first lead that was moved.

    Where the command is interrupted, the id is printed even in a script: it is what takes the leads back.
    """
    how = f"to take it back: leadctl undo {change}"
    has_moved = is_told = False

    def announce(outcomes: Iterable[Record]) -> None:
        nonlocal has_moved, is_told
        if not has_moved and any(one["result"] in ("changed", "undone") for one in outcomes):
            has_moved = True
            is_told = streams.mention(f"This is change {change}; {how}")

    try:
        yield (lambda _outcomes: None) if dry_run else announce
    except BaseException as error:
        if has_moved and not is_told:
            streams.complain(f"This is change {change}; {how}")
        elif not (has_moved or dry_run) and _may_have_arrived(error):
            streams.complain(f"change {change} may have moved leads; {how}")
        raise


def _may_have_arrived(error: BaseException) -> bool:
    """Return whether the server may have done what it was asked for, though nobody heard of it."""
    if isinstance(error, TryAgain):
        return type(error.__cause__).__name__ not in ("ConnectError", "ConnectTimeout")
    return not isinstance(error, LeadctlError)

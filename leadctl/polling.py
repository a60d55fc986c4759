"""Poll for new leads, without gaps or duplicates."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from leadctl.errors import LeadctlError, ServerError, TryAgain
from leadctl.output.formats import Record

# A lead gets its id and `created_at` up to a minute before its transaction commits and makes it visible.
OVERLAP = timedelta(minutes=2)
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 10.0

Find = Callable[[Mapping[str, Any]], Iterable[Record]]


class LeadPoller:
    """Polls for new leads with the filter `since`, and yields each lead once.

    Each poll overlaps the one before by two minutes and drops known ids. Times are those of the server, derived from
    the newest `created_at`; this machine's clock only measures durations.
    """

    def __init__(self, find: Find, *, since: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._find, self._clock = find, clock
        self._first = None if since is None else datetime.fromisoformat(since)
        self._since = self._first
        self._seen: set[int] = set()
        self._ahead_s: float | None = None  # lower bound of the server's clock offset

    def skip_existing(self, newest: Record | None) -> None:
        """Mark all existing leads as seen; `newest` is the newest of them. Raises LeadctlError."""
        began = self._clock()
        if newest is not None:
            self._update_clock_offset(newest)
            self._advance_since(began)
        for _ in self.poll():
            pass

    def poll(self) -> Iterator[Record]:
        """Yield the leads that are new since the last poll. Raises LeadctlError; polling again misses none."""
        began, found = self._clock(), set()
        for lead in self._find({} if self._since is None else {"since": self._since.isoformat()}):
            found.add(lead["id"])
            self._update_clock_offset(lead)
            if lead["id"] not in self._seen:
                self._seen.add(lead["id"])
                yield lead
        self._seen = found
        self._advance_since(began)

    def _update_clock_offset(self, lead: Record) -> None:
        try:
            created_at = datetime.fromisoformat(lead["created_at"])
            created = (created_at - OVERLAP).timestamp() + OVERLAP.total_seconds()
            _ = created_at + timedelta(days=1)  # later polls begin after it
        except (ValueError, OverflowError) as error:
            raise LeadctlError(f"lead {lead['id']}: created_at {lead['created_at']!r} is not a timestamp") from error
        ahead_s = created - self._clock()
        self._ahead_s = ahead_s if self._ahead_s is None else max(self._ahead_s, ahead_s)

    def _advance_since(self, began: float) -> None:
        """Let the next poll begin OVERLAP before this one began."""
        if self._ahead_s is not None:
            since = datetime.fromtimestamp(began + self._ahead_s, UTC) - OVERLAP
            self._since = since if self._first is None else max(self._first, since)


def follow(
    poller: LeadPoller, *, wait: Callable[[float], bool], interval_s: float, info: Callable[[str], None]
) -> Iterator[Record]:
    """Yield new leads until `wait` returns False; keep polling while the server is unavailable or fails."""
    pause_s, is_unavailable = interval_s, False
    while True:
        try:
            yield from poller.poll()
            if is_unavailable:
                info("reconnected")
            pause_s, is_unavailable = interval_s, False
        except (TryAgain, ServerError) as error:
            if not is_unavailable:
                info(f"{error} (retrying)")
            pause_s = min(2 * pause_s, MAX_PAUSE_S) if is_unavailable else FIRST_PAUSE_S
            is_unavailable = True
        if not wait(pause_s):
            return

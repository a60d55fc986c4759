"""New leads as they become visible: none is missed, and none comes twice."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from leadctl.errors import LeadctlError, TryAgain
from leadctl.output.formats import Record

# An id is handed out, and `created_at` set, up to a minute before the transaction ends and the lead can be seen.
LOOK_BACK = timedelta(minutes=2)
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0

Find = Callable[[Mapping[str, Any]], Iterable[Record]]


class LeadPoller:
    """The leads that `find` gives for a filter `since`, asked again and again, each once.

    Each time, all that came after two minutes before the time before is asked for, and what was seen is dropped. The
    clock is the server's, as far as its leads tell it: of this machine's, only how long things took is believed.
    """

    def __init__(self, find: Find, *, since: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._find, self._clock = find, clock
        self._first = None if since is None else datetime.fromisoformat(since)
        self._since = self._first
        self._seen: set[int] = set()
        self._ahead_s: float | None = None  # how far the server's clock is ahead of this one's, at the least

    def pass_over(self, newest: Record | None) -> None:
        """Take all that is there for seen; `newest` is among the last that came. Raises LeadctlError."""
        began = self._clock()
        if newest is not None:
            self._learn_the_time(newest)
            self._go_on(began)
        for _ in self.new():
            pass

    def new(self) -> Iterator[Record]:
        """Yield what was not there before. Raises LeadctlError; it can go on from there as if nothing had been."""
        began, there = self._clock(), set()
        for lead in self._find({} if self._since is None else {"since": self._since.isoformat()}):
            there.add(lead["id"])
            self._learn_the_time(lead)
            if lead["id"] not in self._seen:
                self._seen.add(lead["id"])
                yield lead
        self._seen = there
        self._go_on(began)

    def _learn_the_time(self, lead: Record) -> None:
        try:
            came = datetime.fromisoformat(lead["created_at"]).timestamp()
        except (ValueError, OverflowError) as error:
            raise LeadctlError(f"lead {lead['id']} came at {lead['created_at']!r}, which is no moment") from error
        ahead_s = came - self._clock()
        self._ahead_s = ahead_s if self._ahead_s is None else max(self._ahead_s, ahead_s)

    def _go_on(self, began: float) -> None:
        """Ask, the next time, for what has come since LOOK_BACK before this began: all that was not there then."""
        if self._ahead_s is not None:
            since = datetime.fromtimestamp(began + self._ahead_s, UTC) - LOOK_BACK
            self._since = since if self._first is None else max(self._first, since)


def follow(
    following: LeadPoller, *, wait: Callable[[float], bool], interval_s: float, say: Callable[[str], None]
) -> Iterator[Record]:
    """Yield new leads until `wait` says that nobody waits for more; a server that is away is waited for."""
    pause_s, is_away = interval_s, False
    while True:
        try:
            yield from following.new()
            if is_away:
                say("it answers again")
            pause_s, is_away = interval_s, False
        except TryAgain as error:
            if not is_away:
                say(f"{error} (watching goes on when it answers)")
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S) if is_away else FIRST_PAUSE_S
            is_away = True
        if not wait(pause_s):
            return

"""Form fields that the service ignores."""

import logging
from collections.abc import Sequence

from prometheus_client import Counter

MAX_LOGGED_NAMES = 20  # of one process; senders choose the names
MAX_NAME_CHARACTERS = 32

log = logging.getLogger("intake.http")


class UnknownFields:
    """Counts the form fields that the service ignores, and logs each of the first MAX_LOGGED_NAMES names once."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._logged: set[str] = set()

    def record(self, names: Sequence[str]) -> None:
        """Record the ignored fields of one form."""
        if not names:
            return
        self._counter.inc(len(names))
        for name in dict.fromkeys(name[:MAX_NAME_CHARACTERS] for name in names):
            if name not in self._logged and len(self._logged) < MAX_LOGGED_NAMES:
                self._logged.add(name)
                escaped = name.encode("unicode_escape").decode("ascii")
                log.warning("the form field '%s' is unknown, and is not stored", escaped)

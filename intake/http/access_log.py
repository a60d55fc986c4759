"""Access log, written by a thread, and request IDs."""

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple, TextIO

BATCH_S = 0.05  # the longest that a line waits for others
MAX_WRITE_BYTES = 4096  # a pipe takes this much at once, so that no line of another process is within ours

log = logging.getLogger("intake.access")


def new_request_id() -> str:
    """Return a random request ID."""
    return secrets.token_hex(8)


class Entry(NamedTuple):
    """A response, and the request's path without its query, since queries contain names of people."""

    method: str
    path: str
    status: int
    seconds: float
    request_id: str


_FIELDS = ("method", "path", "status", "milliseconds", "request_id")  # of the record's arguments, for JSON
_Timed = tuple[float, Entry]  # the time at which the entry was added, and the entry


class AccessLog:
    """Logs entries with the handlers of its logger, in batches from a thread: a slow log delays no request."""

    def __init__(self) -> None:
        self._entries: SimpleQueue[_Timed | None] = SimpleQueue()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Start the thread; without it, entries are logged at once."""
        self._thread = Thread(target=self._run, name="intake-access-log", daemon=True)
        self._thread.start()

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        self._entries.put((time.time(), entry))
        if self._thread is None:
            self._write_all()

    def close(self) -> None:
        """Log all entries, and end the thread; later entries are logged at once."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._entries.put(None)
            thread.join()
        self._write_all()

    def _run(self) -> None:
        while (first := self._entries.get()) is not None:
            time.sleep(BATCH_S)
            if not self._write_all(first):
                return

    def _write_all(self, *first: _Timed) -> bool:
        """Log all entries, and return whether more can follow."""
        entries, is_open = list(first), True
        with suppress(Empty):
            while (entry := self._entries.get_nowait()) is not None:
                entries.append(entry)
            is_open = False
        if entries and log.isEnabledFor(logging.INFO):
            _log(entries)
        return is_open


def _log(entries: Sequence[_Timed]) -> None:
    for handler in _handlers(log):
        if type(handler) is logging.StreamHandler:
            _write(handler, entries)
        else:
            for entry in entries:
                handler.handle(_record(entry))


def _record(entry: _Timed, existing: logging.LogRecord | None = None) -> logging.LogRecord:
    """Return the record of an entry, new or instead of an existing one."""
    record = existing or logging.LogRecord(log.name, logging.INFO, "", 0, "%s %s %d %.0f ms %s", (), None)
    record.__dict__["fields"] = _FIELDS
    record.created, (method, path, status, seconds, request_id) = entry
    record.msecs = record.created % 1 * 1000
    record.args = (method, path.encode("unicode_escape").decode("ascii"), status, round(seconds * 1000, 1), request_id)
    return record


def _handlers(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _write(handler: "logging.StreamHandler[TextIO]", entries: Sequence[_Timed]) -> None:
    """Write the lines together: each write would release the interpreter's lock."""
    record, text = _record(entries[0]), ""
    handler.acquire()
    try:
        for entry in entries:
            line = handler.format(_record(entry, record)) + handler.terminator
            if len(text) + len(line) > MAX_WRITE_BYTES:
                handler.stream.write(text)
                text = ""
            text += line
        handler.stream.write(text)
        handler.flush()
    except Exception:  # noqa: BLE001 - as in logging's own handlers
        handler.handleError(record)
    finally:
        handler.release()

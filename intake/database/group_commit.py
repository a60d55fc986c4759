"""SQLite's one writer at a time: whoever has the turn commits the works of all who wait, in one transaction."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from intake.errors import DatabaseUnavailable

TURN_TIMEOUT_S = 5

T = TypeVar("T")
Work = Callable[[Connection], Any]


class _Transaction(Protocol):
    def __call__(self, work: Callable[[Connection], T], /) -> T: ...


class GroupCommit:
    """Runs works in `transaction`, one transaction at a time, and as many works in it as are waiting.

    No savepoints: a full disk rolls back the whole, and the next SAVEPOINT would begin a transaction unasked. On any
    error nothing is kept of the batch, and each of its works is run again alone.
    """

    def __init__(self, transaction: _Transaction) -> None:
        self._transaction = transaction
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._waiting: list[tuple[Work, Future[Any]]] = []

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, once it is committed. Raises what it raises, or DatabaseUnavailable."""
        result: Future[T] = Future()
        with self._guard:
            self._waiting.append((work, result))
        if self._turn.acquire(timeout=TURN_TIMEOUT_S):
            try:
                self._commit(self._take())
            finally:
                self._turn.release()
        elif self._withdraw(result):
            raise DatabaseUnavailable("too many changes are waiting; try again in a moment")
        return result.result()

    def _take(self) -> Sequence[tuple[Work, Future[Any]]]:
        with self._guard:
            taken, self._waiting = self._waiting, []
        return taken

    def _withdraw(self, result: Future[Any]) -> bool:
        """Return whether a work was still waiting, and waits no more."""
        with self._guard:
            others = [entry for entry in self._waiting if entry[1] is not result]
            was_waiting = len(others) < len(self._waiting)
            self._waiting = others
        return was_waiting

    def _commit(self, batch: Sequence[tuple[Work, Future[Any]]]) -> None:
        if len(batch) > 1 and self._commit_joined(batch):
            return
        for work, result in batch:
            try:
                result.set_result(self._transaction(work))
            except BaseException as error:  # noqa: BLE001 - it is raised where the work came from
                result.set_exception(error)

    def _commit_joined(self, batch: Sequence[tuple[Work, Future[Any]]]) -> bool:
        """Return whether each work has its result; False: nothing is kept, and each is to be run alone."""
        begun = False

        def run_all(connection: Connection) -> list[Any]:
            nonlocal begun
            begun = True
            return [work(connection) for work, _ in batch]

        try:
            results = self._transaction(run_all)
        except BaseException as error:  # noqa: BLE001 - each work finds its own again
            if not begun:  # another process holds the file: none of them would fare better alone
                for _, result in batch:
                    result.set_exception(error)
            return not begun
        for (_, result), value in zip(batch, results, strict=True):
            result.set_result(value)
        return True

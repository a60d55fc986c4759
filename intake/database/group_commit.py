"""Group commit for SQLite, which has one writer at a time: waiting work shares one transaction.

With `synchronous=FULL`, a commit costs a flush to disk. Submissions and mail results come in bursts, so that sharing
commits raises their throughput. All other writes take their turn alone.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from intake.errors import DatabaseUnavailable

TURN_TIMEOUT_S = 5
_TOO_MANY = "too many changes are waiting; try again later"

T = TypeVar("T")
Work = Callable[[Connection], Any]


class _Transaction(Protocol):
    def __call__(self, work: Callable[[Connection], T], /) -> T: ...


class GroupCommit:
    """Runs one `transaction` at a time, for all grouped work that is waiting or for one piece of work alone.

    Without savepoints: a full disk rolls back everything, and the next SAVEPOINT would silently begin a transaction.
    After an error the whole group is rolled back, and each piece of work runs again in its own transaction.
    """

    def __init__(self, transaction: _Transaction) -> None:
        self._transaction = transaction
        self._turn = threading.Lock()  # fairer than SQLite's busy handler, which polls and can starve a writer
        self._guard = threading.Lock()
        self._waiting: list[tuple[Work, Future[Any]]] = []

    def write_alone(self, work: Callable[[Connection], T]) -> T:
        """Run `work` once, in this thread and its own transaction. Raises DatabaseUnavailable."""
        if not self._turn.acquire(timeout=TURN_TIMEOUT_S):
            raise DatabaseUnavailable(_TOO_MANY)
        try:
            return self._transaction(work)
        finally:
            self._turn.release()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return the result of `work` after its commit; any waiting thread may run it, and it may run twice.

        Raises its exception, or DatabaseUnavailable.
        """
        result: Future[T] = Future()
        with self._guard:
            self._waiting.append((work, result))
        if self._turn.acquire(timeout=TURN_TIMEOUT_S):
            try:
                self._commit(self._take())
            finally:
                self._turn.release()
        elif self._withdraw(result):
            raise DatabaseUnavailable(_TOO_MANY)
        return result.result()

    def _take(self) -> Sequence[tuple[Work, Future[Any]]]:
        with self._guard:
            taken, self._waiting = self._waiting, []
        return taken

    def _withdraw(self, result: Future[Any]) -> bool:
        """Remove waiting work, and return whether it was still waiting."""
        with self._guard:
            others = [entry for entry in self._waiting if entry[1] is not result]
            was_waiting = len(others) < len(self._waiting)
            self._waiting = others
        return was_waiting

    def _commit(self, group: Sequence[tuple[Work, Future[Any]]]) -> None:
        if len(group) > 1 and self._commit_together(group):
            return
        for work, result in group:
            try:
                result.set_result(self._transaction(work))
            except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for the result
                result.set_exception(error)

    def _commit_together(self, group: Sequence[tuple[Work, Future[Any]]]) -> bool:
        """Return whether each piece of work has its result; if not, everything was rolled back."""
        has_begun = False

        def run_all(connection: Connection) -> list[Any]:
            nonlocal has_begun
            has_begun = True
            return [work(connection) for work, _ in group]

        try:
            results = self._transaction(run_all)
        except BaseException as error:  # noqa: BLE001 - each piece of work meets its own error again
            if not has_begun:  # another process holds the file: running each alone would fail, too
                for _, result in group:
                    result.set_exception(error)
            return not has_begun
        for (_, result), value in zip(group, results, strict=True):
            result.set_result(value)
        return True

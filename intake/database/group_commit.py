"""Group commit for SQLite, which has one writer at a time: waiting work shares one transaction.

With `synchronous=FULL`, a commit costs a flush to disk. Submissions and mail results come in bursts, so that sharing
commits raises their throughput. All other writes take their turn alone.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from intake.errors import DatabaseUnavailable

TURN_TIMEOUT_S = 5

T = TypeVar("T")


class _Transaction(Protocol):
    def __call__(self, work: Callable[[Connection], T], /) -> T: ...


class _Piece(Generic[T]):
    """A piece of grouped work, and its result. `awake` is set when it has one, or is the first that waits."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self.work = work
        self.result: Future[T] = Future()
        self.awake = threading.Event()
        self.result.add_done_callback(lambda _result: self.awake.set())


class GroupCommit:
    """Runs one `transaction` at a time, for all grouped work that is waiting or for one piece of work alone.

    The thread of the first piece that waits takes a turn and runs all of them. The other threads wait for their results
    only, and not for a turn, so that they are free while the next group is written.

    Without savepoints: a full disk rolls back everything, and the next SAVEPOINT would silently begin a transaction.
    After an error the whole group is rolled back, and each piece of work runs again in its own transaction.
    """

    def __init__(self, transaction: _Transaction) -> None:
        self._transaction = transaction
        self._turn = threading.Lock()  # fairer than SQLite's busy handler, which polls and can starve a writer
        self._guard = threading.Lock()
        self._waiting: list[_Piece[Any]] = []

    def write_alone(self, work: Callable[[Connection], T]) -> T:
        """Run `work` once, in this thread and its own transaction. Raises DatabaseUnavailable."""
        with self.turn():
            return self._transaction(work)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let no other thread of this process write. Raises DatabaseUnavailable."""
        if not self._turn.acquire(timeout=TURN_TIMEOUT_S):
            raise _too_many()
        try:
            yield
        finally:
            self._turn.release()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return the result of `work` after its commit; any waiting thread may run it, and it may run twice.

        Raises its exception, or DatabaseUnavailable.
        """
        deadline, piece = time.monotonic() + TURN_TIMEOUT_S, _Piece(work)
        with self._guard:
            self._waiting.append(piece)
            self._wake_first()
        piece.awake.wait()
        if not piece.result.done():
            if not self._turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
                self._withdraw(piece)
                raise _too_many()
            try:
                self._commit(self._take())
            finally:
                self._turn.release()
        return piece.result.result()

    def _wake_first(self) -> None:
        if self._waiting:
            self._waiting[0].awake.set()

    def _take(self) -> Sequence[_Piece[Any]]:
        with self._guard:
            taken, self._waiting = self._waiting, []
        return taken

    def _withdraw(self, piece: _Piece[Any]) -> None:
        with self._guard:
            self._waiting.remove(piece)
            self._wake_first()

    def _commit(self, group: Sequence[_Piece[Any]]) -> bool:
        """Give each piece of work its result or error; return whether the transaction has begun."""
        has_begun = False

        def run_all(connection: Connection) -> list[Any]:
            nonlocal has_begun
            has_begun = True
            return [piece.work(connection) for piece in group]

        try:
            results = self._transaction(run_all)
        except BaseException as error:  # noqa: BLE001 - raised in the threads that wait for the results
            if has_begun and len(group) > 1:
                self._commit_each(group)
            else:
                _fail(group, error)
        else:
            for piece, result in zip(group, results, strict=True):
                piece.result.set_result(result)
        return has_begun

    def _commit_each(self, group: Sequence[_Piece[Any]]) -> None:
        for number, piece in enumerate(group, start=1):
            if not self._commit([piece]):  # another process holds the file: each of the others would wait for it, too
                _fail(group[number:], piece.result.exception())
                return


def _too_many() -> DatabaseUnavailable:
    reason = f"other writes took longer than {TURN_TIMEOUT_S} s"
    return DatabaseUnavailable("too many changes are waiting; try again later", reason=reason)


def _fail(group: Sequence[_Piece[Any]], error: BaseException | None) -> None:
    for piece in group:
        piece.result.set_exception(error)

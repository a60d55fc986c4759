"""One transaction around a function, and one vocabulary for what a database can't do."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from intake.database.engine import open_engine
from intake.errors import DatabaseUnavailable
from intake.settings import Settings

T = TypeVar("T")


class Database:
    """The database that the settings name, opened with at most `connections` at once."""

    def __init__(self, settings: Settings, *, connections: int) -> None:
        self._engine = open_engine(settings, connections=connections)
        self._writing_engine = self._engine.execution_options(writing=True)
        # SQLite takes one writer at a time: waiting here is in turn, waiting in its busy handler is not
        self._writers = threading.Lock() if self._engine.dialect.name == "sqlite" else nullcontext()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, run in one transaction.

        Raises DatabaseUnavailable where the database can't be reached or can't take the work now.
        """
        return _in_transaction(self._engine, work)

    def write(self, work: Callable[[Connection], T], *, then: Callable[[], object] | None = None) -> T:
        """Return what `work` returns, once its transaction is committed; `then` is called after the commit.

        Raises DatabaseUnavailable where the database can't be reached or can't take the work now.
        """
        with self._writers:
            result = _in_transaction(self._writing_engine, work)
        if then is not None:
            then()
        return result

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()


def serialised(connection: Connection, lock: int) -> None:
    """Let one transaction at a time pass here, by the number of a lock; SQLite's writers are so by themselves."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what drivers and the pool raise where there is no database to work with into DatabaseUnavailable."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise DatabaseUnavailable("the database can't take this now; try again in a moment") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("the database went away; try again in a moment") from error
        raise


def _in_transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    with translated_errors(), engine.begin() as connection:
        return work(connection)

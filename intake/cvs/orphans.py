"""Objects in the store that no CV's row names: left by what was put there and then not committed."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select

from intake.cvs import store
from intake.cvs.store import Place
from intake.database import Database
from intake.database.schema import cv

AGE = timedelta(days=1)  # far longer than from the putting to the commit


def collect(database: Database, store_url: str) -> Iterator[int]:
    """Delete the orphans older than AGE in the store one by one, and yield how many each step deleted.

    Rows are looked up by their keys, however the store's address is spelled in them. The store must be this database's
    alone: what another one's rows name are orphans to this one. Raises DatabaseUnavailable or StorageUnavailable.
    """
    store.delete_drafts(store_url, age=AGE)
    for keys in store.old_keys(store_url, age=AGE):
        named = select(cv.c.store_key).where(cv.c.store_key.in_(keys))
        found = database.read(lambda connection: set(connection.scalars(named)))  # noqa: B023 - run at once
        yield 0
        for key in set(keys) - found:
            store.delete(Place(store_url, key))
            yield 1

"""Objects in the store that no CV's row names: left by what was put there and then not committed."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select

from intake.cvs import store
from intake.database import Database
from intake.database.schema import cv

AGE = timedelta(days=1)  # far longer than from the putting to the commit


def collect(database: Database, store_url: str) -> Iterator[int]:
    """Delete the orphans older than AGE in the store, and yield the number of each batch's.

    The store must be this database's alone: what another one's rows name are orphans to this one. Raises
    DatabaseUnavailable or StorageUnavailable.
    """
    for locations in store.old_locations(store_url, age=AGE):
        named = select(cv.c.location).where(cv.c.location.in_(locations))
        found = database.read(lambda connection: set(connection.scalars(named)))  # noqa: B023 - run at once
        orphans = [location for location in locations if location not in found]
        store.delete(orphans)
        yield len(orphans)

"""Deletion of erased leads' objects: recorded in the erasure's transaction, done after it, retried until it is done."""

import logging
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, delete, insert, select

from intake.cvs import store, store_marker
from intake.cvs.store import ObjectRef
from intake.database import Database
from intake.database.ids import is_among
from intake.database.schema import cv, cv_deletion
from intake.errors import DatabaseUnavailable, StorageUnavailable

BATCH = 500

log = logging.getLogger("intake.cvs")


def record(connection: Connection, lead_ids: Sequence[int]) -> list[ObjectRef]:
    """Record that the leads' objects must be deleted, and return where they are."""
    query = select(cv.c.store_url, cv.c.store_key).where(is_among(cv.c.lead_id, lead_ids), cv.c.store_key.is_not(None))
    places = [ObjectRef(url, key) for url, key in connection.execute(query)]
    if places:
        rows = [{"store_url": place.store_url, "store_key": place.key} for place in places]
        connection.execute(insert(cv_deletion), rows)
    return places


def finish(database: Database, places: Sequence[ObjectRef]) -> int:
    """Delete the objects, also from trash, and return how many are left for a retry.

    One failure of a store leaves all that follow in it. A store on hold is left alone: this may be the wrong database.
    """
    left, away = set[ObjectRef](), {url for url in {place.store_url for place in places} if _is_left_alone(url)}
    for place in places:
        try:
            if place.store_url not in away:
                store.delete_everywhere(place)
                continue
        except StorageUnavailable:
            away.add(place.store_url)
        left.add(place)
    _forget(database, [place.key for place in places if place not in left])
    return len(left)


def retry(database: Database) -> Iterator[int]:
    """Delete what earlier erasures could not, and yield how many objects each batch deleted.

    Raises StorageUnavailable at the end if any is left, or DatabaseUnavailable.
    """
    after, left = "", 0
    while places := database.read(lambda connection: _recorded(connection, after)):  # noqa: B023 - run at once
        left_now = finish(database, places)
        yield len(places) - left_now
        after, left = places[-1].key, left + left_now
    if left:
        raise StorageUnavailable(f"CVs of erased leads that their store can't delete now: {left}")


def _is_left_alone(store_url: str) -> bool:
    try:
        reason = store_marker.hold(store_url)
    except StorageUnavailable:
        return True
    if reason is not None:
        log.warning("CVs of erased leads are not deleted yet: %s", reason)
    return reason is not None


def _recorded(connection: Connection, after: str) -> list[ObjectRef]:
    query = select(cv_deletion.c.store_url, cv_deletion.c.store_key).where(cv_deletion.c.store_key > after)
    return [
        ObjectRef(url, key) for url, key in connection.execute(query.order_by(cv_deletion.c.store_key).limit(BATCH))
    ]


def _forget(database: Database, keys: Sequence[str]) -> None:
    try:
        if keys:
            done = delete(cv_deletion).where(cv_deletion.c.store_key.in_(keys))
            database.write(lambda connection: connection.execute(done))
    except DatabaseUnavailable as error:  # the worker deletes them again, which changes nothing
        log.warning("deleted objects are not recorded as deleted yet: %s", error.reason)

"""Deletion of erased leads' objects, recorded in the erasure's transaction and retried until it succeeds."""

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
    """Record that the leads' objects must be deleted, and return the objects."""
    query = select(cv.c.store_url, cv.c.store_key).where(is_among(cv.c.lead_id, lead_ids), cv.c.store_key.is_not(None))
    objects = [ObjectRef(url, key) for url, key in connection.execute(query)]
    if objects:
        rows = [{"store_url": one.store_url, "store_key": one.key} for one in objects]
        connection.execute(insert(cv_deletion), rows)
    return objects


def finish(database: Database, objects: Sequence[ObjectRef]) -> int:
    """Delete the objects, also from the trash, and return the number left for a retry.

    After one error, all other objects in that store are skipped. A store on hold, or of another database, is skipped.
    """
    left = set[ObjectRef]()
    unavailable = {url for url in {one.store_url for one in objects} if _is_refused(database, url)}
    for one in objects:
        try:
            if one.store_url not in unavailable:
                store.delete_everywhere(one)
                continue
        except StorageUnavailable:
            unavailable.add(one.store_url)
        left.add(one)
    _unrecord(database, [one.key for one in objects if one not in left])
    return len(left)


def retry(database: Database) -> Iterator[int]:
    """Delete objects that earlier erasures could not, and yield the number of each batch.

    Raises StorageUnavailable at the end if any are left, or DatabaseUnavailable.
    """
    after, left = "", 0
    while objects := database.read(lambda connection: _recorded(connection, after)):  # noqa: B023 - runs before the next iteration
        left_now = finish(database, objects)
        yield len(objects) - left_now
        after, left = objects[-1].key, left + left_now
    if left:
        raise StorageUnavailable(f"CVs of erased leads that their store can't delete now: {left}")


def _is_refused(database: Database, store_url: str) -> bool:
    try:
        reason = store_marker.refusal(database, store_url)
    except (DatabaseUnavailable, StorageUnavailable) as error:
        reason = str(error)
    if reason is not None:
        log.warning("CVs of erased leads are not deleted yet: %s", reason)
    return reason is not None


def _recorded(connection: Connection, after: str) -> list[ObjectRef]:
    query = select(cv_deletion.c.store_url, cv_deletion.c.store_key).where(cv_deletion.c.store_key > after)
    return [
        ObjectRef(url, key) for url, key in connection.execute(query.order_by(cv_deletion.c.store_key).limit(BATCH))
    ]


def _unrecord(database: Database, keys: Sequence[str]) -> None:
    try:
        if keys:
            done = delete(cv_deletion).where(cv_deletion.c.store_key.in_(keys))
            database.write(lambda connection: connection.execute(done))
    except DatabaseUnavailable as error:  # the worker deletes them again, which has no effect
        log.warning("deleted objects are not recorded as deleted yet: %s", error.reason)

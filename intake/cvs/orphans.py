"""Collection of orphans: objects in the CV store without a row, left by transactions that did not commit."""

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, union

from intake.cvs import store, store_marker
from intake.cvs.store import ObjectRef, Stored
from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import cv, cv_deletion, lead
from intake.errors import OrphanCollectionRefused

AGE = timedelta(days=1)  # far longer than from the upload to the commit
TRASH_AGE = timedelta(days=30)
MAX_ORPHANS = 20  # or 1% of all objects: crashes leave fewer
COUNTED_IDS = 10_000  # in one statement

log = logging.getLogger("intake.cvs")

Steps = Iterator[Counter[str]]


def collect(database: Database, store_url: str, *, adopt: bool = False) -> Steps:
    """Move orphans older than AGE to the trash, delete those older than TRASH_AGE from it, and yield counts.

    The counts are objects `restored` from the trash because a row refers to them, `deleted` and `trashed`, and rows
    with a `missing` object. Ages are by the store's clock. Rows match by key, whatever the spelling of the store's URL.

    Raises OrphanCollectionRefused before any deletion if the store has a hold, or more orphans than crashes leave. With
    `adopt`, the store is bound to this database first, any number is collected, and missing objects of young leads
    count, too: after a recovery, no submission is in progress. Raises DatabaseUnavailable or StorageUnavailable.
    """
    if adopt:
        store_marker.adopt(database, store_url)
    now = store.now(store_url)
    yield from _restore(database, store_url)
    store_marker.check(database, store_url)
    totals = yield from _count(database, store_url, before=now - AGE, newest=_newest if adopt else _newest_settled)
    store_marker.refuse_if_held(store_url)
    most = max(MAX_ORPHANS, totals["objects"] // 100)
    if totals["orphans"] > most and not adopt:
        raise OrphanCollectionRefused(
            f"{totals['orphans']} of {totals['objects']} objects in the CV store belong to no lead, and one run"
            f" collects at most {most}; {store_marker.ADOPT}"
        )
    store.delete_drafts(store_url, before=now - AGE)
    yield from _empty_trash(database, store_url, before=now - TRASH_AGE)
    yield from _move_to_trash(database, store_url, before=now - AGE, most=totals["orphans"])


def _restore(database: Database, store_url: str) -> Steps:
    """Move objects with a row out of the trash: they got there while another database was in use."""
    for batch in store.trashed_cvs(store_url):
        for key in _referenced(database, [one.key for one in batch]):
            log.warning("moving a lead's object back from the CV store's trash")
            store.restore(ObjectRef(store_url, key))
            yield Counter(restored=1)


def _count(
    database: Database, store_url: str, *, before: datetime, newest: Callable[[Connection], int]
) -> Generator[Counter[str], None, Counter[str]]:
    """Return the numbers of `objects` and `orphans`, and log missing objects of leads up to `newest`."""
    last_lead = database.read(newest)
    totals = Counter[str]()
    for batch in store.cvs(store_url):
        found = database.read(lambda connection: _found(connection, store_url, batch, last_lead))  # noqa: B023 - runs before the next iteration
        orphans = _orphans(database, batch, before)
        totals += Counter(objects=len(batch), orphans=len(orphans), found=found)
        yield Counter()
    expected = 0
    for first in range(0, last_lead, COUNTED_IDS):
        last = min(first + COUNTED_IDS, last_lead)
        expected += database.read(lambda connection: _expected(connection, store_url, first, last))  # noqa: B023
        yield Counter()
    if (missing := expected - totals["found"]) > 0:
        log.error("CVs missing from the CV store: %d; restore them from a backup of the store", missing)
        yield Counter(missing=missing)
    return totals


def _empty_trash(database: Database, store_url: str, *, before: datetime) -> Steps:
    for batch in store.trashed_cvs(store_url):
        if old := [one.key for one in batch if one.written_at < before]:
            store_marker.refuse_if_held(store_url)
            for key in set(old) - _referenced(database, old):
                store.delete(store.trashed(ObjectRef(store_url, key)))
                yield Counter(deleted=1)


def _move_to_trash(database: Database, store_url: str, *, before: datetime, most: int) -> Steps:
    for batch in store.cvs(store_url):
        if orphans := _orphans(database, batch, before)[:most]:
            store_marker.refuse_if_held(store_url)
        for key in orphans:
            store.move_to_trash(ObjectRef(store_url, key))
            yield Counter(trashed=1)
        most -= len(orphans)


def _orphans(database: Database, batch: Sequence[Stored], before: datetime) -> list[str]:
    """Return the keys of old objects without a row in cv or cv_deletion."""
    old = [one.key for one in batch if one.written_at < before]
    # one statement, because an erasure moves a key from the first table to the second
    known = union(
        select(cv.c.store_key).where(cv.c.store_key.in_(old)),
        select(cv_deletion.c.store_key).where(cv_deletion.c.store_key.in_(old)),
    )
    return sorted(set(old) - database.read(lambda connection: set(connection.scalars(known))))


def _referenced(database: Database, keys: Sequence[str]) -> set[str]:
    query = select(cv.c.store_key).where(cv.c.store_key.in_(keys))
    return database.read(lambda connection: set(connection.scalars(query)))


def _newest(connection: Connection) -> int:
    return connection.scalar(select(func.max(lead.c.id))) or 0


def _newest_settled(connection: Connection) -> int:
    """Return the newest lead older than AGE, which no open transaction can precede with another."""
    is_old = lead.c.created_at <= Now(plus_s=-AGE.total_seconds())
    return connection.scalar(select(lead.c.id).where(is_old).order_by(lead.c.created_at.desc()).limit(1)) or 0


def _found(connection: Connection, store_url: str, batch: Sequence[Stored], newest: int) -> int:
    keys = [one.key for one in batch]
    is_in_store = cv.c.store_key.in_(keys), cv.c.store_url == store_url, cv.c.lead_id <= newest
    return connection.scalar(select(func.count()).select_from(cv).where(*is_in_store)) or 0


def _expected(connection: Connection, store_url: str, first: int, last: int) -> int:
    is_in_store = cv.c.lead_id > first, cv.c.lead_id <= last, cv.c.store_url == store_url
    return connection.scalar(select(func.count()).select_from(cv).where(*is_in_store)) or 0

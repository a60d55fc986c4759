"""The binding of a CV store to its database: a marker in the store, and a hold if the two do not match.

A marker is an object whose key contains the database's id, the highest lead id ever allocated, and a nonce that changes
with each. If there are several, the highest lead id counts, and one known nonce is enough. So concurrent workers can't
lower the marker, and no store needs conditional writes.
"""

import logging
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Table, select

from intake.cvs import store
from intake.cvs.store import ObjectRef
from intake.database import Database
from intake.database.installation import Identity, identity, renew_nonce
from intake.database.schema import cv, cv_deletion
from intake.errors import OrphanCollectionRefused, StorageUnavailable

PREFIX = "intake"
HOLD = f"{PREFIX}/hold"
REASON_BYTES = 500
RENEW_NONCE_S = 50  # longer than any worker takes from listing the markers to reading the database's nonces
_MARKER = re.compile(rf"{PREFIX}/marker/([0-9a-f]{{64}})/([0-9]{{20}})/([0-9a-f]{{32}})")
_MARKER_TEXT = b"This CV store belongs to the database of this id, which allocated lead ids up to this number.\n"
ADOPT = "if this is the right database for the store, run: intake collect-orphans --adopt"

log = logging.getLogger("intake.cvs")


@dataclass(frozen=True)
class Marker:
    """The content of a marker's key."""

    database_id: str
    highest_lead_id: int
    nonce: str


@dataclass(frozen=True)
class State:
    """The markers in the store, whether a hold is in it, and this database's identity."""

    markers: frozenset[Marker]
    is_held: bool
    own: Identity

    @property
    def highest(self) -> int:
        """The highest lead id of all markers."""
        return max((marker.highest_lead_id for marker in self.markers), default=0)

    @property
    def mismatch(self) -> str | None:
        """The mismatch between the markers and this database, or None."""
        if other := {marker.database_id for marker in self.markers} - {self.own.database_id}:
            own_id = self.own.database_id
            return f"the store belongs to another database ({min(other)[:8]}…, and this one is {own_id[:8]}…)"
        if self.highest > self.own.highest_lead_id:
            known = self.own.highest_lead_id
            return f"this database is older than the store: it has leads up to {known}, the store up to {self.highest}"
        if self.markers and {marker.nonce for marker in self.markers}.isdisjoint(self.own.nonces):
            return "a copy of this database uses the store, or this is a backup"
        return None


def check(database: Database, store_url: str) -> State:
    """Write a hold into the store unless its markers match the database. Raises as `mark` does.

    An empty store without markers, though leads have CVs in it, raises StorageUnavailable: its file system is not
    mounted.
    """
    found = _present_state(database, store_url)
    if found.is_held or (reason := found.mismatch) is None:
        return found
    log.error("the CV store is on hold, and orphans are not collected: %s", reason)
    store.put_at(ObjectRef(store_url, HOLD), reason.encode())
    return State(found.markers, True, found.own)


_check_once = cache(check)  # once per process


def ensure_present(database: Database, store_url: str) -> None:
    """Check the store before its first use, and when a directory's markers have gone. Raises as `mark` does."""
    if store.has_directory(store_url, PREFIX):
        _check_once(database, store_url)
    else:
        check(database, store_url)


def mark(database: Database, store_url: str | None, others: Collection[str] = ()) -> None:
    """Write the database's marker into the stores, unless another marker does not match or a hold exists.

    The others have CVs of earlier settings; one that is unavailable is skipped. The nonce is renewed only if all stores
    have it, so that an outage of one is not taken for a copy of the database.

    Raises DatabaseUnavailable, or StorageUnavailable for the first store.
    """
    states = {store_url: check(database, store_url)} if store_url else {}
    for url in others:
        with suppress(StorageUnavailable):
            states[url] = _present_state(database, url)
    if not states:
        return
    own = identity(database)
    nonces = [{marker.nonce for marker in found.markers} for found in states.values()]
    if len(states) == len(others) + bool(store_url) and all(own.nonce in known for known in nonces):
        own = renew_nonce(database, own.nonce, min_age_s=RENEW_NONCE_S)
    for url, found in states.items():
        if not found.is_held and found.mismatch is None:
            _mark(url, found, own)


def _mark(store_url: str, found: State, own: Identity) -> None:
    _write(store_url, own)
    for marker in found.markers:
        # the last marker remains until next time, so that concurrent listings find at least one
        if marker.highest_lead_id < found.highest or marker.nonce != found.own.nonce:
            store.delete(_marker_ref(store_url, marker))


def stores_in_use(database: Database) -> set[str]:
    """Return the URLs of all stores that have CVs of leads; reads every CV's row. Raises DatabaseUnavailable."""
    query = select(cv.c.store_url).where(cv.c.store_url.is_not(None)).distinct()
    return database.read(lambda connection: set(connection.scalars(query)))


def refusal(database: Database, store_url: str) -> str | None:
    """Return why nothing may be deleted from the store, or None. Raises as `mark` does.

    The rows of a copy of the database name the original's store, whatever its settings.
    """
    found = _present_state(database, store_url, cv_deletion)
    return hold(store_url) if found.is_held else found.mismatch


def adopt(database: Database, store_url: str) -> None:
    """Bind the store to this database, whatever its markers, and remove the hold.

    The hold is removed last, so that it remains after an interruption.

    Raises DatabaseUnavailable or StorageUnavailable.
    """
    found = _read_state(database, store_url)
    written = _write(store_url, found.own)
    for marker in found.markers - {written}:
        store.delete(_marker_ref(store_url, marker))
    store.delete(ObjectRef(store_url, HOLD))


def hold(store_url: str) -> str | None:
    """Return the reason of the store's hold, or None without a hold. Raises StorageUnavailable."""
    if HOLD not in store.keys(store_url, PREFIX):
        return None
    text = store.read_small(ObjectRef(store_url, HOLD))[:REASON_BYTES].decode(errors="replace")
    reason = "".join(character for character in text if character.isprintable())
    return f"the CV store is on hold: {reason}; {ADOPT}"


def refuse_if_held(store_url: str) -> None:
    """Raise OrphanCollectionRefused if the store has a hold, or StorageUnavailable."""
    if (reason := hold(store_url)) is not None:
        raise OrphanCollectionRefused(reason)


def _present_state(database: Database, store_url: str, *more: Table) -> State:
    """Return the state; raise StorageUnavailable if the store is empty, and one of the tables has CVs in it."""
    found = _read_state(database, store_url)
    if found.markers or found.is_held or any(store.cvs(store_url)) or any(store.trashed_cvs(store_url)):
        return found
    queries = [select(table.c.store_key).where(table.c.store_url == store_url).limit(1) for table in (cv, *more)]
    if database.read(lambda connection: any(connection.scalar(query) for query in queries)):
        raise StorageUnavailable(f"the CV store is empty, but leads have CVs in it: is it mounted? Otherwise {ADOPT}")
    return found


def _read_state(database: Database, store_url: str) -> State:
    # The store is read first: otherwise another worker could raise both numbers in between.
    keys = store.keys(store_url, PREFIX)
    markers = frozenset(Marker(match[1], int(match[2]), match[3]) for key in keys if (match := _MARKER.fullmatch(key)))
    return State(markers, HOLD in keys, identity(database))


def _write(store_url: str, own: Identity) -> Marker:
    marker = Marker(own.database_id, own.highest_lead_id, own.nonce)
    store.put_at(_marker_ref(store_url, marker), _MARKER_TEXT)
    return marker


def _marker_ref(store_url: str, marker: Marker) -> ObjectRef:
    return ObjectRef(store_url, f"{PREFIX}/marker/{marker.database_id}/{marker.highest_lead_id:020}/{marker.nonce}")

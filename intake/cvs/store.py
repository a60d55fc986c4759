"""CVs outside the database: each an object under a random key of its own, in a directory or an S3-compatible store."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import IO, NamedTuple
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from intake.errors import StorageUnavailable

PIECE_BYTES = 2**20
PART_BYTES = 5 * 2**20  # S3 takes no smaller part but the last
PARTS_AT_ONCE = 2  # an upload holds so many in memory
KEY_BYTES = 16
KEY = re.compile("[0-9a-f]{32}")
TRASH = "trash"
TRASHED = re.compile(r"trash/([0-9a-f]{32})\.cv")  # the ending tells them from the CVs of a store at …/trash
CLOCK = "intake/clock"
DRAFT = re.compile("[0-9a-f]{32}#[0-9]+")
BATCH = 500
MAX_RETRIES = 2  # each request has obstore's own limits: 5 s to connect, 30 s in all
RETRY_TIMEOUT = timedelta(seconds=30)

log = logging.getLogger("intake.cvs")


def prepare(store_url: str) -> None:
    """Make the directory that a file:// store names, where there is none. Raises StorageUnavailable."""
    if (directory := _directory(store_url)) is not None:
        with _translated_errors(store_url):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True)
class ObjectRef:
    """Where an object is: a store's address, and a key that no object in any store shares."""

    store_url: str
    key: str


def put(store_url: str, file: IO[bytes]) -> ObjectRef:
    """Keep the bytes of `file`, read from its start, for good, and return where. Raises StorageUnavailable."""
    place = ObjectRef(store_url, token_hex(KEY_BYTES))
    file.seek(0)
    with _translated_errors(store_url):
        obstore.put(_store(store_url), place.key, file, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        if (directory := _directory(store_url)) is not None:
            _make_durable(directory, directory / place.key)
    return place


def write(place: ObjectRef, content: bytes) -> None:
    """Store a small object under a key of its own, durably; it replaces what was there. Raises StorageUnavailable."""
    with _translated_errors(place.store_url):
        obstore.put(_store(place.store_url), place.key, content)
        if (directory := _directory(place.store_url)) is not None:
            _make_durable((directory / place.key).parent, directory / place.key)


def read(place: ObjectRef, *, offset: int, size: int) -> bytes:
    """Return up to PIECE_BYTES of an object's first `size` bytes, from `offset` on. Raises StorageUnavailable.

    An object that lies in trash although a lead names it is read from there; collection puts it back.
    """
    end = min(offset + PIECE_BYTES, size)
    with _translated_errors(place.store_url):
        try:
            return bytes(obstore.get_range(_store(place.store_url), place.key, start=offset, end=end))
        except FileNotFoundError:
            return bytes(obstore.get_range(_store(place.store_url), trashed(place).key, start=offset, end=end))


def delete(place: ObjectRef) -> None:
    """Delete an object; one that is gone already counts as deleted. Raises StorageUnavailable."""
    with _translated_errors(place.store_url), suppress(FileNotFoundError):
        obstore.delete(_store(place.store_url), place.key)


def trashed(place: ObjectRef) -> ObjectRef:
    """Return where an object lies once it was moved to trash."""
    return ObjectRef(place.store_url, f"{TRASH}/{place.key}.cv")


def delete_everywhere(place: ObjectRef) -> None:
    """Delete an object, also where it lies in trash. Raises StorageUnavailable."""
    delete(place)
    delete(trashed(place))


def move_to_trash(place: ObjectRef) -> None:
    """Move an object to trash, if it is still there; `written_at` is the time of that. Raises StorageUnavailable."""
    with _translated_errors(place.store_url), suppress(FileNotFoundError):
        if (directory := _directory(place.store_url)) is not None:
            os.utime(directory / place.key)  # a rename alone would keep the time of the upload
        obstore.rename(_store(place.store_url), place.key, trashed(place).key)


def put_back(place: ObjectRef) -> None:
    """Move an object out of trash, if it is still there. Raises StorageUnavailable."""
    with _translated_errors(place.store_url), suppress(FileNotFoundError):
        obstore.rename(_store(place.store_url), trashed(place).key, place.key)


class Stored(NamedTuple):
    """An object's key in its store, and when it was written, by the store's clock."""

    key: str
    written_at: datetime


def cvs(store_url: str) -> Iterator[list[Stored]]:
    """Yield the CVs in the store, in batches. Raises StorageUnavailable."""
    for batch in _listed(store_url, None):
        yield [one for one in batch if KEY.fullmatch(one.key)]


def trashed_cvs(store_url: str) -> Iterator[list[Stored]]:
    """Yield the CVs in trash, in batches, under the keys that they had. Raises StorageUnavailable."""
    for batch in _listed(store_url, TRASH):
        yield [Stored(match[1], one.written_at) for one in batch if (match := TRASHED.fullmatch(one.key))]


def keys(store_url: str, prefix: str) -> set[str]:
    """Return the keys of all objects under a prefix that holds few. Raises StorageUnavailable."""
    return {one.key for batch in _listed(store_url, prefix) for one in batch}


def now(store_url: str) -> datetime:
    """Return the time by the store's clock: that of an object just written there. Raises StorageUnavailable."""
    write(ObjectRef(store_url, CLOCK), b"The time at which this was written is the time by this store's clock.\n")
    with _translated_errors(store_url):
        return obstore.head(_store(store_url), CLOCK)["last_modified"]


def delete_drafts(store_url: str, *, before: datetime) -> None:
    """Delete what uploads that a crash interrupted before then left in a directory; obstore does not list it."""
    with _translated_errors(store_url):
        for file in directory.iterdir() if (directory := _directory(store_url)) is not None else ():
            if DRAFT.fullmatch(file.name) and file.stat().st_mtime < before.timestamp():
                file.unlink(missing_ok=True)


def _listed(store_url: str, prefix: str | None) -> Iterator[list[Stored]]:
    with _translated_errors(store_url):
        for batch in obstore.list(_store(store_url), prefix, chunk_size=BATCH):
            yield [Stored(one["path"], one["last_modified"]) for one in batch]


@cache
def _store(store_url: str) -> ObjectStore:
    if _directory(store_url) is not None:
        return from_url(store_url)
    return from_url(store_url, retry_config={"max_retries": MAX_RETRIES, "retry_timeout": RETRY_TIMEOUT})


def _directory(store_url: str) -> Path | None:
    url = urlsplit(store_url)
    return Path(unquote(url.path)) if url.scheme == "file" else None


def _make_durable(directory: Path, file: Path) -> None:
    """Have the file and its name on the disk, which obstore's put does not wait for."""
    file.chmod(0o600)
    for path in (file, directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _translated_errors(store_url: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        log.warning("the store %s: %s", store_url, str(error).partition("\n")[0])
        raise StorageUnavailable("the store of the CVs can't take this now; try again later") from error

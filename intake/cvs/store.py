"""CVs outside the database: each an object under a random key of its own, in a directory or an S3-compatible store."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import IO
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
class Place:
    """Where an object is: a store's address, and a key that no object in any store shares."""

    store_url: str
    key: str


def put(store_url: str, file: IO[bytes]) -> Place:
    """Keep the bytes of `file`, read from its start, for good, and return where. Raises StorageUnavailable."""
    place = Place(store_url, token_hex(KEY_BYTES))
    file.seek(0)
    with _translated_errors(store_url):
        obstore.put(_store(store_url), place.key, file, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        if (directory := _directory(store_url)) is not None:
            _make_durable(directory, directory / place.key)
    return place


def read(place: Place, *, offset: int, size: int) -> bytes:
    """Return up to PIECE_BYTES of an object's first `size` bytes, from `offset` on. Raises StorageUnavailable."""
    end = min(offset + PIECE_BYTES, size)
    with _translated_errors(place.store_url):
        return bytes(obstore.get_range(_store(place.store_url), place.key, start=offset, end=end))


def delete(place: Place) -> None:
    """Delete an object; one that is gone already counts as deleted. Raises StorageUnavailable."""
    with _translated_errors(place.store_url), suppress(FileNotFoundError):
        obstore.delete(_store(place.store_url), place.key)


def old_keys(store_url: str, *, age: timedelta) -> Iterator[list[str]]:
    """Yield the keys of what was put there longer ago than `age`, in batches. Raises StorageUnavailable."""
    before = datetime.now(UTC) - age
    with _translated_errors(store_url):
        for batch in obstore.list(_store(store_url), chunk_size=BATCH):
            yield [one["path"] for one in batch if one["last_modified"] < before and KEY.fullmatch(one["path"])]


def delete_drafts(store_url: str, *, age: timedelta) -> None:
    """Delete what uploads that a crash cut off more than `age` ago left in a directory; obstore lists it not."""
    before = (datetime.now(UTC) - age).timestamp()
    with _translated_errors(store_url):
        for file in directory.iterdir() if (directory := _directory(store_url)) is not None else ():
            if DRAFT.fullmatch(file.name) and file.stat().st_mtime < before:
                file.unlink(missing_ok=True)


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

"""CVs outside the database: each an object under a random key of its own, in a directory or an S3-compatible store."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
BATCH = 500
MAX_RETRIES = 2  # each request has obstore's own limits: 5 s to connect, 30 s in all
RETRY_TIMEOUT = timedelta(seconds=30)

log = logging.getLogger("intake.cvs")


def prepare(store_url: str) -> None:
    """Make the directory that a file:// store names, where there is none. Raises StorageUnavailable."""
    if (directory := _directory(store_url)) is not None:
        with _translated_errors(store_url):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def put(store_url: str, file: IO[bytes]) -> str:
    """Keep the bytes of `file`, read from its start, for good, and return their location. Raises StorageUnavailable."""
    key = token_hex(KEY_BYTES)
    file.seek(0)
    with _translated_errors(store_url):
        obstore.put(_store(store_url), key, file, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        if (directory := _directory(store_url)) is not None:
            _make_durable(directory, directory / key)
    return f"{store_url}/{key}"


def read(location: str, *, offset: int, size: int) -> bytes:
    """Return up to PIECE_BYTES of an object of `size` bytes, from `offset` (from 0) on. Raises StorageUnavailable."""
    store_url, key = _split(location)
    with _translated_errors(store_url):
        return bytes(obstore.get_range(_store(store_url), key, start=offset, end=min(offset + PIECE_BYTES, size)))


def old_locations(store_url: str, *, age: timedelta) -> Iterator[list[str]]:
    """Yield the locations of what was put there longer ago than `age`, in batches. Raises StorageUnavailable."""
    before = datetime.now(UTC) - age
    with _translated_errors(store_url):
        for batch in obstore.list(_store(store_url), chunk_size=BATCH):
            yield [
                f"{store_url}/{found['path']}"
                for found in batch
                if found["last_modified"] < before and _is_key(found["path"])
            ]


def delete(locations: Iterable[str]) -> None:
    """Delete objects; one that is gone already counts as deleted. Raises StorageUnavailable."""
    for location in locations:
        store_url, key = _split(location)
        with _translated_errors(store_url):
            try:
                obstore.delete(_store(store_url), key)
            except FileNotFoundError:
                continue


@cache
def _store(store_url: str) -> ObjectStore:
    if _directory(store_url) is not None:
        return from_url(store_url)
    return from_url(store_url, retry_config={"max_retries": MAX_RETRIES, "retry_timeout": RETRY_TIMEOUT})


def _directory(store_url: str) -> Path | None:
    url = urlsplit(store_url)
    return Path(unquote(url.path)) if url.scheme == "file" else None


def _split(location: str) -> tuple[str, str]:
    store_url, _, key = location.rpartition("/")
    return store_url, key


def _is_key(path: str) -> bool:
    return len(path) == 2 * KEY_BYTES and set(path) <= set("0123456789abcdef")


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

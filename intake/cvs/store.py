"""CV store: objects under random keys, in a directory or an S3-compatible store."""

import hashlib
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

from intake.errors import ChecksumMismatch, FileMissing, StorageUnavailable

PIECE_BYTES = 2**20
PART_BYTES = 5 * 2**20  # the minimum of S3, except for the last part
PARTS_AT_ONCE = 2  # in memory for each upload
KEY_BYTES = 16
KEY = re.compile("[0-9a-f]{32}")
TRASH = "trash"
TRASHED = re.compile(r"trash/([0-9a-f]{32})\.cv")  # the suffix distinguishes them from the CVs of a store at …/trash
CLOCK = "intake/clock"
DRAFT = re.compile("[0-9a-f]{32}#[0-9]+")
BATCH = 500
MAX_RETRIES = 2  # each request has obstore's timeouts: 5 s to connect, 30 s in total
RETRY_TIMEOUT = timedelta(seconds=30)

log = logging.getLogger("intake.cvs")


def prepare(store_url: str) -> None:
    """Create the directory of a file:// store if needed. Raises StorageUnavailable."""
    if (directory := _directory(store_url)) is not None:
        with _translated_errors(store_url):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def has_directory(store_url: str, prefix: str) -> bool:
    """Return whether a file:// store has a directory of that name; always True for other stores, which need none."""
    directory = _directory(store_url)
    return directory is None or (directory / prefix).is_dir()


@dataclass(frozen=True)
class ObjectRef:
    """The location of an object: a store's URL, and a key that is unique across stores."""

    store_url: str
    key: str


def put(store_url: str, file: IO[bytes]) -> ObjectRef:
    """Store `file` durably under a new key, and return the object. Raises StorageUnavailable."""
    new = ObjectRef(store_url, token_hex(KEY_BYTES))
    file.seek(0)
    put_at(new, file)
    return new


def put_at(ref: ObjectRef, content: IO[bytes] | bytes) -> None:
    """Store bytes, or the rest of a file, durably, replacing an existing object. Raises StorageUnavailable."""
    with _translated_errors(ref.store_url):
        obstore.put(_store(ref.store_url), ref.key, content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        if (directory := _directory(ref.store_url)) is not None:
            _make_durable(directory / ref.key)


def checksum(ref: ObjectRef) -> str | None:
    """Return the SHA-256 of an object; None if it does not exist. Raises StorageUnavailable."""
    with _translated_errors(ref.store_url), suppress(FileNotFoundError):
        digest = hashlib.sha256()
        for piece in obstore.get(_store(ref.store_url), ref.key):
            digest.update(piece)
        return digest.hexdigest()
    return None


def read_small(ref: ObjectRef) -> bytes:
    """Return a small object. Raises StorageUnavailable."""
    with _translated_errors(ref.store_url):
        return bytes(obstore.get(_store(ref.store_url), ref.key).bytes())


def read(ref: ObjectRef, *, offset: int, size: int) -> bytes:
    """Return up to PIECE_BYTES of an object's first `size` bytes, from `offset` on.

    An object that is in the trash by mistake is read from there; orphan collection moves it back. Raises
    StorageUnavailable, or ChecksumMismatch if the object is shorter.
    """
    end = min(offset + PIECE_BYTES, size)
    with _translated_errors(ref.store_url):
        try:
            piece = _range(ref.store_url, ref.key, offset, end)
        except FileNotFoundError:
            piece = _range(ref.store_url, trashed(ref).key, offset, end)
    if len(piece) < end - offset:
        raise ChecksumMismatch("the CV is damaged: its file in the store is shorter than the upload")
    return piece


def _range(store_url: str, key: str, start: int, end: int) -> bytes:
    try:
        return bytes(obstore.get_range(_store(store_url), key, start=start, end=end))
    except BaseError:
        if obstore.head(_store(store_url), key)["size"] > start:
            raise
        return b""  # the store refuses a range behind the end


def delete(ref: ObjectRef) -> None:
    """Delete an object, if it exists. Raises StorageUnavailable."""
    with _translated_errors(ref.store_url), suppress(FileNotFoundError):
        obstore.delete(_store(ref.store_url), ref.key)


def trashed(ref: ObjectRef) -> ObjectRef:
    """Return the object's location in the trash."""
    return ObjectRef(ref.store_url, f"{TRASH}/{ref.key}.cv")


def delete_everywhere(ref: ObjectRef) -> None:
    """Delete an object, also from the trash. Raises StorageUnavailable."""
    delete(ref)
    delete(trashed(ref))


def move_to_trash(ref: ObjectRef) -> None:
    """Move an object to the trash, if it exists, and set its `written_at` to now. Raises StorageUnavailable."""
    with _translated_errors(ref.store_url), suppress(FileNotFoundError):
        if (directory := _directory(ref.store_url)) is not None:
            os.utime(directory / ref.key)  # a rename would preserve the time of the upload
        obstore.rename(_store(ref.store_url), ref.key, trashed(ref).key)


def restore(ref: ObjectRef) -> None:
    """Move an object out of the trash, if it exists. Raises StorageUnavailable."""
    with _translated_errors(ref.store_url), suppress(FileNotFoundError):
        obstore.rename(_store(ref.store_url), trashed(ref).key, ref.key)


class Stored(NamedTuple):
    """An object's key, and the time it was written by the store's clock."""

    key: str
    written_at: datetime


def cvs(store_url: str) -> Iterator[list[Stored]]:
    """Yield the CVs in the store, in batches. Raises StorageUnavailable."""
    for batch in _list(store_url, None):
        yield [one for one in batch if KEY.fullmatch(one.key)]


def trashed_cvs(store_url: str) -> Iterator[list[Stored]]:
    """Yield the CVs in the trash, in batches, with their original keys. Raises StorageUnavailable."""
    for batch in _list(store_url, TRASH):
        yield [Stored(match[1], one.written_at) for one in batch if (match := TRASHED.fullmatch(one.key))]


def keys(store_url: str, prefix: str) -> set[str]:
    """Return the keys of all objects under a prefix with few objects. Raises StorageUnavailable."""
    return {one.key for batch in _list(store_url, prefix) for one in batch}


def now(store_url: str) -> datetime:
    """Return the time by the store's clock, from an object written now. Raises StorageUnavailable."""
    put_at(ObjectRef(store_url, CLOCK), b"The time at which this was written is the time by this store's clock.\n")
    with _translated_errors(store_url):
        return obstore.head(_store(store_url), CLOCK)["last_modified"]


def delete_drafts(store_url: str, *, before: datetime) -> None:
    """Delete partial uploads that crashes before `before` left in a directory; obstore does not list them."""
    with _translated_errors(store_url):
        for file in directory.iterdir() if (directory := _directory(store_url)) is not None else ():
            with suppress(FileNotFoundError):  # the upload has just finished
                if DRAFT.fullmatch(file.name) and file.stat().st_mtime < before.timestamp():
                    file.unlink()


def _list(store_url: str, prefix: str | None) -> Iterator[list[Stored]]:
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


def _make_durable(file: Path) -> None:
    """Flush the file and its directory entry to disk, which obstore's put does not."""
    file.chmod(0o600)
    flush(file)
    flush(file.parent)


def flush(path: Path) -> None:
    """Flush a file, or the entries of a directory, to disk. Raises OSError."""
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
        if isinstance(error, FileNotFoundError):
            raise FileMissing(
                "the file is missing from the CV store; an operator can copy it back from a backup"
            ) from error
        raise StorageUnavailable("the CV store is temporarily unavailable; try again later") from error

"""A backup of a running service: the database first, then the CVs that it refers to."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select

from intake.audit import LOCAL_ACTOR, Action, is_recorded, record_alone
from intake.backups import dumps, files
from intake.backups.files import DATABASES, FORMAT, MANIFEST, SUMS, Manifest, Progress
from intake.cvs import store
from intake.cvs.store import ObjectRef
from intake.database import Database
from intake.database.installation import identity
from intake.database.schema import cv
from intake.errors import BackupFailed, ChecksumMismatch, FileMissing
from intake.settings import Settings

BATCH = 500


class Location(NamedTuple):
    """A CV's place in a store, and its size."""

    ref: ObjectRef
    size: int


def back_up(settings: Settings, database: Database, directory: Path, progress: Progress) -> Manifest:
    """Copy the database and the store's CVs to `directory`, and return what it contains.

    Continues an interrupted backup. A CV with another checksum than recorded is listed in the manifest as damaged.
    Raises BackupFailed, BackupInvalid, DatabaseUnavailable or StorageUnavailable.
    """
    run_id = secrets.token_hex(8)
    record_alone(database, Action.BACKUP, LOCAL_ACTOR, detail=run_id)
    try:
        with files.locked(directory):
            return _back_up(settings, database, directory, progress, run_id)
    except OSError as error:
        raise BackupFailed(f"can't write to {directory}: {error.strerror}") from error


def _back_up(settings: Settings, database: Database, directory: Path, progress: Progress, run_id: str) -> Manifest:
    manifest = _resumed(directory, database) or _copy_database(settings, database, directory, run_id)
    erased, damaged, size = [], [], 0
    with progress("CVs", manifest.cvs) as advance:
        for key, checksum, location in _located(database, files.cv_sums(directory)):
            if location and _copy(location, directory / files.cv_file(key), checksum):
                size += location.size
            elif location and _locations(database, [key]):
                damaged.append(key)
            else:
                erased.append(key)
                (directory / files.cv_file(key)).unlink(missing_ok=True)  # copied before an interruption
            advance(1)
    manifest = replace(manifest, complete=True, erased=erased, damaged=damaged, bytes=size)
    files.write_manifest(directory, manifest)
    if erased:  # last: the manifest knows them, and after an interruption only sha256sum misses their files
        files.drop_sums(directory, erased)
    return manifest


def _resumed(directory: Path, database: Database) -> Manifest | None:
    """Return the manifest of an interrupted backup, or None if the directory is new. Raises BackupFailed."""
    if (directory / MANIFEST).exists():
        manifest = files.read_manifest(directory)
        if manifest.complete:
            raise BackupFailed(f"{directory} has a complete backup; choose another directory")
        if manifest.database_id != identity(database).database_id:
            raise BackupFailed(f"{directory} has a backup of another database; check INTAKE_DATABASE_URL")
        if not is_recorded(database, Action.BACKUP, detail=manifest.run_id):
            raise BackupFailed(
                f"the database has been restored to a time before the backup in {directory}; choose another directory"
            )
        return manifest
    ours = {SUMS, *DATABASES.values()}
    names = sorted(path.name for path in directory.iterdir())
    if other := next((n for n in names if n.removesuffix("-journal").removesuffix(".part") not in ours), None):
        raise BackupFailed(f"{directory} has other files, such as {other}; choose a new directory")
    return None


def _copy_database(settings: Settings, database: Database, directory: Path, run_id: str) -> Manifest:
    kind = dumps.kind(settings)
    database_id = identity(database).database_id
    path, count = directory / DATABASES[kind], 0
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    with files.durable_file(path) as draft, files.durable_file(directory / SUMS) as sums_draft:
        with dumps.dump(settings, draft) as (facts, cv_sums), sums_draft.open("w", encoding="ascii") as sums:
            with draft.open("rb") as file:
                sums.write(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
            for checksum, key in cv_sums:
                count += 1
                sums.write(f"{checksum}  {files.cv_file(key)}\n")
    manifest = Manifest(
        format=FORMAT,
        complete=False,
        database=kind,
        database_id=database_id,
        run_id=run_id,
        created_at=created_at,
        cvs=count,
        **facts._asdict(),
    )
    files.write_manifest(directory, manifest)
    return manifest


def _located(database: Database, sums: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str, Location | None]]:
    """Yield key, checksum and location of CVs; None if the lead was erased since."""
    while batch := list(islice(sums, BATCH)):
        found = _locations(database, [key for _, key in batch])
        yield from ((key, checksum, found.get(key)) for checksum, key in batch)


def _locations(database: Database, keys: Iterable[str]) -> dict[str, Location]:
    query = select(cv.c.store_key, cv.c.store_url, cv.c.size).where(cv.c.store_key.in_(keys))
    rows = database.read(lambda connection: connection.execute(query).all())
    return {key: Location(ObjectRef(store_url, key), size) for key, store_url, size in rows}


def _copy(location: Location, path: Path, checksum: str) -> bool:
    """Copy a CV unless that is done; return whether it has the checksum."""
    if path.exists():
        return True
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, offset = hashlib.sha256(), 0
    try:
        with files.durable_file(path) as draft, draft.open("wb") as file:
            while offset < location.size:
                piece = store.read(location.ref, offset=offset, size=location.size)
                digest.update(piece)
                offset += file.write(piece)
            if digest.hexdigest() != checksum:
                raise ChecksumMismatch("the store's object is not the CV that was uploaded")
    except (ChecksumMismatch, FileMissing):
        return False
    return True

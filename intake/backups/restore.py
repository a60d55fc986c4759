"""Restoring a backup into an empty database, and into the CV store of the settings."""

from pathlib import Path

from intake.audit import LOCAL_ACTOR, Action, record_alone
from intake.backups import dumps, files
from intake.backups.files import DATABASES, Manifest, Progress
from intake.cvs import store, store_marker
from intake.cvs.store import ObjectRef
from intake.database import Database
from intake.database.migrations import is_known, migrate
from intake.errors import BackupFailed
from intake.settings import Settings


def verify(directory: Path, progress: Progress) -> Manifest:
    """Check all files of a backup, and return what it contains. Raises BackupInvalid or BackupFailed."""
    manifest = files.read_complete_manifest(directory)
    with progress("Verifying", manifest.cvs + 1) as advance:
        for done in files.verify(directory, manifest):
            advance(done)
    dumps.check(directory / DATABASES[manifest.database])
    return manifest


def restore(settings: Settings, directory: Path, progress: Progress) -> Manifest:
    """Restore a verified backup, and return what it contains.

    CVs are restored first, so that after an interruption no lead lacks its CV, and this can be repeated. New leads get
    ids above those that were allocated since the backup. Raises BackupFailed, BackupInvalid, DatabaseUnavailable,
    DatabaseNotMigrated or StorageUnavailable.
    """
    dumps.refuse_used(settings)
    manifest = files.read_complete_manifest(directory)
    kind = dumps.kind(settings)
    if manifest.database != kind:
        raise BackupFailed(f"the backup is of a {manifest.database} database, but INTAKE_DATABASE_URL names {kind}")
    if not is_known(manifest.schema):
        raise BackupFailed(
            f"the backup was made by a newer version of this service (schema {manifest.schema}); install that version"
        )
    if manifest.cvs and not settings.cv_store:
        raise BackupFailed("the backup contains CVs of a store: set INTAKE_CV_STORE to the store to restore to")
    verify(directory, progress)
    if settings.cv_store:
        _restore_cvs(settings.cv_store, directory, manifest, progress)
    dumps.load(settings, directory / DATABASES[kind], gap=settings.failover_gap)
    migrate(settings)
    database = Database(settings, connections=1)
    try:
        record_alone(database, Action.RESTORE, LOCAL_ACTOR, detail=f"of {manifest.created_at}")
        if settings.cv_store:
            store_marker.adopt(database, settings.cv_store)
    finally:
        database.close()
    return manifest


def _restore_cvs(store_url: str, directory: Path, manifest: Manifest, progress: Progress) -> None:
    store.prepare(store_url)
    absent = {*manifest.erased, *manifest.damaged}
    with progress("CVs", manifest.cvs) as advance:
        for checksum, key in files.cv_sums(directory):
            ref = ObjectRef(store_url, key)
            if key not in absent and store.checksum(ref) != checksum:
                with (directory / files.cv_file(key)).open("rb") as file:
                    store.put_at(ref, file)
            advance(1)

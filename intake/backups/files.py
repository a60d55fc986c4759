"""The files of a backup: durable writes, checksums in the format of sha256sum, and the manifest."""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from intake.cvs.store import flush
from intake.errors import BackupFailed, BackupInvalid

DATABASES = {"sqlite": "database.sqlite", "postgresql": "database.dump"}
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
FORMAT = 1
MAX_LISTED = 10  # names in a message
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]  # of a label, and a number of steps
_NAME = "|".join([*map(re.escape, DATABASES.values()), "cvs/[0-9a-f]{2}/[0-9a-f]{32}"])
_LINE = re.compile(f"([0-9a-f]{{64}})  ({_NAME})\n")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The contents of a backup; `complete` is set last.

    `erased` and `damaged` are the store's keys of CVs that are missing: the leads were erased while the backup was
    made, or the store had no CV with the recorded checksum. `bytes` is the size of all other CVs in the store.
    """

    format: int
    complete: bool
    database: str
    database_id: str = ""  # empty in backups of earlier versions, like run_id
    run_id: str = ""  # of the run that copied the database, which the audit trail has
    schema: str
    created_at: str
    leads: int
    cvs: int
    bytes: int = 0
    erased: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


_MANIFEST = TypeAdapter(Manifest)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Create a directory if needed, and lock it against other backups. Raises BackupFailed or OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems lock no directories
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BackupFailed(f"another backup to {directory} is running; wait until it has ended") from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def durable_file(path: Path, *, replaces: bool = True) -> Iterator[Path]:
    """Yield a path to write to; then flush that file, and give it the name `path`.

    The directory is not flushed. The file is removed after an error. Raises FileExistsError unless `replaces`, if
    another process has created `path`, or is writing the same file.
    """
    draft = path.with_name(f"{path.name}.part")
    if replaces:
        draft.unlink(missing_ok=True)
    else:
        draft.touch(mode=0o600, exist_ok=False)
    try:
        yield draft
        flush(draft)
        if replaces:
            draft.replace(path)
        else:
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def flush_directories(directory: Path) -> None:
    """Flush the entries of a directory and of all directories in it."""
    for name, _, _ in os.walk(directory):
        flush(Path(name))


def cv_file(key: str) -> str:
    """Return the name of a CV's file in the backup."""
    return f"cvs/{key[:2]}/{key}"


def sums(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield checksums and names of files. Raises BackupInvalid."""
    try:
        with (directory / SUMS).open(encoding="ascii") as file:
            for line in file:
                if not (match := _LINE.fullmatch(line)):
                    raise BackupInvalid(f"{directory / SUMS} has an invalid line: {line[:100]!r}")
                yield match[1], match[2]
    except (OSError, UnicodeError) as error:
        raise BackupInvalid(f"can't read {directory / SUMS}: {error}") from error


def cv_sums(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield checksums and keys of CVs. Raises BackupInvalid."""
    return ((checksum, name.rpartition("/")[2]) for checksum, name in sums(directory) if name.startswith("cvs/"))


def drop_sums(directory: Path, keys: Sequence[str]) -> None:
    """Remove the lines of these CVs, so that sha256sum does not miss them. Raises BackupInvalid."""
    dropped = {cv_file(key) for key in keys}
    with durable_file(directory / SUMS) as draft, draft.open("w", encoding="ascii") as file:
        file.writelines(f"{checksum}  {name}\n" for checksum, name in sums(directory) if name not in dropped)
    flush(directory)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest, and flush the whole backup's directories before and after."""
    flush_directories(directory)
    with durable_file(directory / MANIFEST) as draft:
        draft.write_text(json.dumps(asdict(manifest), indent=1) + "\n", "utf-8")
    flush_directories(directory)


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest. Raises BackupInvalid."""
    path = directory / MANIFEST
    try:
        manifest = _MANIFEST.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError as error:
        raise BackupInvalid(f"there is no backup in {directory}") from error
    except OSError as error:
        raise BackupInvalid(f"can't read {path}: {error}") from error
    except ValidationError as error:
        details = "; ".join(": ".join((*map(str, one["loc"]), one["msg"])) for one in error.errors())
        raise BackupInvalid(f"can't read {path}: {details}") from error
    if manifest.format != FORMAT or manifest.database not in DATABASES:
        raise BackupInvalid(f"{path} was written by another version of this service")
    return manifest


def read_complete_manifest(directory: Path) -> Manifest:
    """Return the manifest. Raises BackupInvalid if the backup was interrupted."""
    manifest = read_manifest(directory)
    if not manifest.complete:
        raise BackupInvalid(f"the backup in {directory} was interrupted; to finish it, run: intake backup {directory}")
    return manifest


def verify(directory: Path, manifest: Manifest) -> Iterator[int]:
    """Compare all files with their checksums, yielding 1 for each.

    Raises BackupInvalid, which names damaged files, after the last one. The list of checksums is one of them if it is
    shorter or longer than the manifest says, or does not have the database.
    """
    erased = {cv_file(key) for key in manifest.erased}
    absent = {*erased, *map(cv_file, manifest.damaged)}
    damaged, count, has_database = [], 0, False
    for checksum, name in sums(directory):
        if name not in absent and not _has_checksum(directory / name, checksum):
            damaged.append(name)
        count += name not in erased  # an interruption can leave their lines
        has_database = has_database or name == DATABASES[manifest.database]
        yield 1
    if not has_database or count != 1 + manifest.cvs - len(erased):
        damaged.append(SUMS)
    if damaged:
        raise BackupInvalid(f"missing or damaged in {directory}: {listed(damaged)}")


def listed(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others, for a message."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"{', '.join(names[:MAX_LISTED])}{more}"


def _has_checksum(path: Path, checksum: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == checksum
    except OSError:
        return False

"""Person exports: received into a private file, verified, then moved to their name."""

import io
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from leadctl.errors import ChecksumError, LeadctlError
from leadctl.files.filenames import move_into_place
from leadctl.settings import MAX_LIST_BYTES

PERSON, OMITTED = "person.json", "omitted.json"


def to_stream(chunks: Iterable[bytes], out: IO[bytes]) -> list[int]:
    """Write a person's zip when it is complete; return the leads whose CV is omitted.

    Raises ChecksumError or OSError.
    """
    with tempfile.TemporaryFile() as file:
        omitted = _receive(chunks, file)
        file.seek(0)
        shutil.copyfileobj(file, out)
        out.flush()
    return omitted


def to_file(chunks: Iterable[bytes], target: Path, *, force: bool) -> list[int]:
    """Save a person's zip as `target` with mode 0600; return the leads whose CV is omitted.

    Overwrites a file only with `force`. Raises ChecksumError or OSError (FileExistsError for an existing file).
    """
    descriptor, name = tempfile.mkstemp(prefix=".leadctl-", suffix=".part", dir=target.parent)  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            omitted = _receive(chunks, file)
            file.flush()
            os.fsync(file.fileno())
        move_into_place(draft, target, force=force)
    finally:
        draft.unlink(missing_ok=True)
    return omitted


def _is_unsafe_entry(entry: zipfile.ZipInfo) -> bool:
    """Return whether reading the entry could take unlimited memory; CVs are read in chunks."""
    return entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _BoundedReader(io.BufferedReader):
    """A file that reads at most MAX_LIST_BYTES at once, whatever directory size a zip declares."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_LIST_BYTES:
            raise zipfile.BadZipFile("its directory is too large")
        return super().read(size)


def _receive(chunks: Iterable[bytes], file: IO[bytes]) -> list[int]:
    for chunk in chunks:
        file.write(chunk)
    file.flush()
    try:
        with _BoundedReader(io.FileIO(file.fileno(), closefd=False)) as raw, zipfile.ZipFile(raw) as archive:
            archive.getinfo(PERSON)
            if any(map(_is_unsafe_entry, archive.infolist())) or archive.testzip() is not None:
                raise ChecksumError("the zip was damaged in transit; try again")
            if OMITTED not in archive.namelist():
                return []
            if archive.getinfo(OMITTED).file_size > MAX_LIST_BYTES:
                raise LeadctlError(f"{OMITTED} in the zip is larger than {MAX_LIST_BYTES // 2**20} MiB")
            return [int(lead_id) for lead_id in json.loads(archive.read(OMITTED))]
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        OverflowError,
        EOFError,
        ValueError,
        RuntimeError,
        LookupError,
        TypeError,
    ) as error:
        raise ChecksumError("the zip is incomplete or damaged; try again") from error

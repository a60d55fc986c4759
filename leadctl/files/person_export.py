"""Person exports: received into a private file, verified, then moved to their name."""

import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from leadctl.errors import ChecksumError
from leadctl.files.filenames import move_into_place

MAX_PERSON_BYTES = 2**25  # person.json is read into memory


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
    is_usual_type = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return not is_usual_type or (entry.filename == "person.json" and entry.file_size > MAX_PERSON_BYTES)


def _receive(chunks: Iterable[bytes], file: IO[bytes]) -> list[int]:
    for chunk in chunks:
        file.write(chunk)
    try:
        with zipfile.ZipFile(file) as archive:
            if any(map(_is_unsafe_entry, archive.infolist())) or archive.testzip() is not None:
                raise ChecksumError("the zip was damaged in transit; try again")
            leads = json.loads(archive.read("person.json"))["leads"]
            return [int(lead["id"]) for lead in leads if lead["CV_path"] is None]
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        LookupError,
        TypeError,
    ) as error:
        raise ChecksumError("the zip is incomplete or damaged; try again") from error

"""Archives as they arrive: their owner's alone, looked through, and only then under their name."""

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
from leadctl.files.filenames import give_name

MAX_PERSON_BYTES = 2**25  # of what is read at once: all that is stored of a person but the CVs


def to_stream(pieces: Iterable[bytes], out: IO[bytes]) -> list[int]:
    """Write a person's zip once it has arrived whole, and return the leads whose CV is left out of it.

    Raises ChecksumError or OSError.
    """
    with tempfile.TemporaryFile() as file:
        left_out = _take(pieces, file)
        file.seek(0)
        shutil.copyfileobj(file, out)
        out.flush()
    return left_out


def to_file(pieces: Iterable[bytes], target: Path, *, force: bool) -> list[int]:
    """Make a person's zip the file `target`, for its owner's eyes alone, once it has arrived whole.

    Returns the leads whose CV is left out of it. Without `force` nothing is overwritten. Raises ChecksumError,
    FileExistsError or another OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=".leadctl-", suffix=".part", dir=target.parent)  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            left_out = _take(pieces, file)
            file.flush()
            os.fsync(file.fileno())
        give_name(draft, target, force=force)
    finally:
        draft.unlink(missing_ok=True)
    return left_out


def _is_hungry(entry: zipfile.ZipInfo) -> bool:
    """Return whether reading the entry could take memory without bound; CVs are read in pieces."""
    is_usual = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return not is_usual or (entry.filename == "person.json" and entry.file_size > MAX_PERSON_BYTES)


def _take(pieces: Iterable[bytes], file: IO[bytes]) -> list[int]:
    for piece in pieces:
        file.write(piece)
    try:
        with zipfile.ZipFile(file) as archive:
            if any(map(_is_hungry, archive.infolist())) or archive.testzip() is not None:
                raise ChecksumError("what arrived of the zip is damaged; try again")
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
        raise ChecksumError("what arrived is no whole zip of a person's data; try again") from error

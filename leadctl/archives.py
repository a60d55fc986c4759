"""Archives as they arrive: their owner's alone, looked through, and only then under their name."""

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from leadctl.errors import Damaged
from leadctl.names import give_name


def to_stream(pieces: Iterable[bytes], out: IO[bytes]) -> None:
    """Write a zip once it has arrived whole. Raises Damaged or OSError."""
    with tempfile.TemporaryFile() as file:
        _take(pieces, file)
        file.seek(0)
        shutil.copyfileobj(file, out)
        out.flush()


def to_file(pieces: Iterable[bytes], target: Path, *, force: bool) -> None:
    """Make a zip the file `target`, for its owner's eyes alone, once it has arrived whole.

    Without `force` nothing is overwritten. Raises Damaged, FileExistsError or another OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=".leadctl-", suffix=".part", dir=target.parent)  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _take(pieces, file)
            file.flush()
            os.fsync(file.fileno())
        give_name(draft, target, force=force)
    finally:
        draft.unlink(missing_ok=True)


def _take(pieces: Iterable[bytes], file: IO[bytes]) -> None:
    for piece in pieces:
        file.write(piece)
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
        raise Damaged("what arrived is no whole zip; try again") from error
    if broken is not None:
        raise Damaged("what arrived of the zip is damaged; try again")

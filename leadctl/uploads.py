"""CVs on this machine, as they are sent."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from leadctl.errors import Usage

if TYPE_CHECKING:  # importing it costs 95 ms
    from leadctl.api import Api

Transfer = Callable[[int], AbstractContextManager[Callable[[int], None]]]


def check_cv(path: Path) -> int:
    """Return the size of a CV in bytes. Raises Usage where it can't be sent."""
    try:
        with path.open("rb") if path.is_file() else _no_file(path) as file:
            size = file.seek(0, io.SEEK_END)
    except (OSError, ValueError) as error:
        raise Usage(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from error
    if size == 0:
        raise Usage(f"{path} is empty")
    return size


def send(api: "Api", fields: dict[str, str], path: Path, *, transfer: Transfer) -> tuple[dict[str, Any], bool]:
    """Enter a lead with the CV at `path`, read as it is sent; return it, and whether it is a new one.

    Raises Usage where the file can't be sent, or the LeadctlError that the answer amounts to.
    """
    size = check_cv(path)
    with path.open("rb") as file, transfer(size) as advance:
        return api.enter(fields, name=path.name, cv=cast("IO[bytes]", _Watched(file, advance)))


class _Watched:
    """A file that tells how far it has been read."""

    def __init__(self, file: IO[bytes], advance: Callable[[int], None]) -> None:
        self._file, self._advance = file, advance

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._advance(len(data))
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        before = self._file.tell()
        at = self._file.seek(offset, whence)
        self._advance(at - before)
        return at

    def tell(self) -> int:
        return self._file.tell()


def _no_file(path: Path) -> IO[bytes]:
    """Raise what there is instead of a file."""
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory")
    raise ValueError("it is a directory" if path.is_dir() else "it is no file")

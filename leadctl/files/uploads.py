"""CVs on this machine, as they are sent."""

import hashlib
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from leadctl.errors import Conflict, UsageError

if TYPE_CHECKING:  # importing it costs 95 ms
    from leadctl.api import Api

Transfer = Callable[[int], AbstractContextManager[Callable[[int], None]]]


def check_cv(path: Path) -> int:
    """Return the size of a CV in bytes. Raises Usage where it can't be sent."""
    try:
        with path.open("rb") if path.is_file() else _no_file(path) as file:
            size = file.seek(0, io.SEEK_END)
    except (OSError, ValueError) as error:
        raise UsageError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from error
    if size == 0:
        raise UsageError(f"{path} is empty")
    return size


def send(
    api: "Api", fields: dict[str, str], path: Path, *, transfer: Transfer, dry_run: bool = False
) -> tuple[dict[str, Any], bool]:
    """Enter a lead with the CV at `path`, read as it is sent; return it, and whether it is a new one.

    Raises Usage where the file can't be sent, Conflict where the external id is another person's, or the LeadctlError
    that the answer amounts to.
    """
    size = check_cv(path)
    with path.open("rb") as file, transfer(size) as advance:
        cv = cast("IO[bytes]", _Watched(file, advance))
        lead, is_new = api.enter(fields, name=path.name, cv=cv, dry_run=dry_run)
    if not is_new and _is_somebody_else(lead, fields["email"], path):
        raise Conflict(f"external_id {fields.get('external_id')} belongs to lead {lead['id']}, {lead['email']}")
    return lead, is_new


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


def _is_somebody_else(lead: dict[str, Any], email: str, cv: Path) -> bool:
    if lead["email"].casefold() == email.strip().casefold():
        return False
    with cv.open("rb") as file:  # the server writes some addresses in another way, so the CV counts, too
        return bool(lead["CV_sha256"] != hashlib.file_digest(file, "sha256").hexdigest())


def _no_file(path: Path) -> IO[bytes]:
    """Raise what there is instead of a file."""
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory")
    raise ValueError("it is a directory" if path.is_dir() else "it is no file")

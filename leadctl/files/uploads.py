"""Lead uploads with a CV from a local file."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadctl.errors import UsageError

if TYPE_CHECKING:  # importing it costs 95 ms
    from leadctl.api import Api

Transfer = Callable[[int], AbstractContextManager[Callable[[int], None]]]


def validate_cv_file(path: Path) -> int:
    """Return the size of a CV file in bytes. Raises UsageError if it is unreadable or empty."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is a directory" if path.is_dir() else "not a file")
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
    except (OSError, ValueError) as error:
        raise UsageError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from error
    if size == 0:
        raise UsageError(f"{path} is empty")
    return size


def upload_lead(
    api: "Api", fields: dict[str, str], path: Path, *, transfer: Transfer, dry_run: bool = False
) -> tuple[dict[str, Any], bool]:
    """Create a lead, streaming the CV at `path`; return the lead and whether it is new.

    Raises UsageError for an unusable file, Conflict if the external id is another person's, or another LeadctlError.
    """
    size = validate_cv_file(path)
    with transfer(size) as advance, _ProgressReader(path, advance) as cv:
        return api.create_lead(fields, name=path.name, cv=cv, dry_run=dry_run)


class _ProgressReader(io.FileIO):
    """A file that reports how far it has been read; httpx2 rewinds it to send it again."""

    def __init__(self, path: Path, advance: Callable[[int], None]) -> None:
        super().__init__(path)
        self._advance = advance

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._advance(len(data))
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        old, new = self.tell(), super().seek(offset, whence)
        self._advance(new - old)
        return new

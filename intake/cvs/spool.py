"""Spooling of uploads: in memory while small, then on disk, hashed while they are written."""

import hashlib
import io
import tempfile
from typing import IO, Self

from intake.cvs.media_type import HEAD_BYTES
from intake.errors import StorageUnavailable

MEMORY_BYTES = 2**20


class SpooledUpload:
    """An uploaded file, written sequentially and deleted when closed. `size` is in bytes."""

    def __init__(self) -> None:
        self._file: IO[bytes] = io.BytesIO()
        self._hash = hashlib.sha256()
        self._head = b""
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append `data`. Raises StorageUnavailable."""
        try:
            self._append(data)
        except OSError as error:
            raise StorageUnavailable("no space to store the file; try again later") from error
        self._hash.update(data)
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        self.size += len(data)

    def _append(self, data: bytes) -> None:
        if not self.size and len(data) <= MEMORY_BYTES:
            self._file = io.BytesIO(data)  # shares the bytes
            self._file.seek(len(data))
            return
        if self.size <= MEMORY_BYTES < self.size + len(data):
            on_disk = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
            self._file.seek(0)
            on_disk.write(self._file.read())
            self._file = on_disk
        self._file.write(data)

    @property
    def sha256(self) -> str:
        """The SHA-256 hash of the bytes so far, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def head(self) -> bytes:
        """The first HEAD_BYTES."""
        return self._head

    @property
    def file(self) -> IO[bytes]:
        """The file, for reading."""
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

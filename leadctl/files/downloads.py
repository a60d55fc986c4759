"""Resumable CV downloads, verified by SHA-256."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from leadctl.errors import ChecksumError, LeadctlError, NotFound, TryAgain
from leadctl.files.filenames import move_into_place
from leadctl.retries import pause

if TYPE_CHECKING:  # importing it costs 95 ms
    from leadctl.api import Download

RETRIES = 3
CHUNK_BYTES = 2**20
_MISMATCH = "the CV was damaged in transit (its SHA-256 differs); try again"

Transfer = Callable[[int], AbstractContextManager[Callable[[int], None]]]
Source = Callable[..., AbstractContextManager["Download"]]  # streams a CV from `offset` if it has this `sha256`


class PartialDownload:
    """The received part of a CV in a hidden file of mode 0600, named by lead and SHA-256.

    After an interruption the file stays, so that a later run can resume; after a write or checksum error it is deleted.
    """

    def __init__(self, directory: Path, lead_id: int, sha256: str) -> None:
        self.path = directory / f".leadctl-{lead_id}-{sha256}.part"
        self.size = 0
        self._sha256 = sha256
        self._hash = hashlib.sha256()

    @staticmethod
    def find(directory: Path, lead_id: int) -> tuple[str, int]:
        """Return the SHA-256 and size of an interrupted download; "" and 0 if there is none."""
        with suppress(OSError):
            for path in directory.glob(f".leadctl-{lead_id}-*.part"):
                if found := re.fullmatch(r".*-([0-9a-f]{64})\.part", path.name):
                    return found[1], path.lstat().st_size
        return "", 0

    @staticmethod
    def discard(directory: Path, lead_id: int) -> None:
        """Delete the interrupted downloads of a lead that no longer exists."""
        with suppress(OSError):
            for path in directory.glob(f".leadctl-{lead_id}-*.part"):
                path.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._add(chunk)

    def move_to(self, target: Path, *, force: bool) -> None:
        """Verify the complete file and move it to the target. Raises ChecksumError, FileExistsError or OSError."""
        if self._hash.hexdigest() != self._sha256:
            raise ChecksumError(_MISMATCH)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()  # Windows can't move an open file
        move_into_place(self.path, target, force=force)

    def __enter__(self) -> Self:
        self._file = _open_part(self.path)
        while chunk := self._file.read(CHUNK_BYTES):
            self._add(chunk)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        with suppress(OSError):  # a full disk has already been reported
            self._file.close()
        is_resumable = error is not None and not isinstance(error, (ChecksumError, NotFound, OSError))
        if not (is_resumable and self.size):
            self.path.unlink(missing_ok=True)

    def _add(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)


def to_stream(source: Source, out: IO[bytes], *, transfer: Transfer) -> None:
    """Write a CV as it arrives. Raises ChecksumError at the end if its SHA-256 differs."""
    digest = hashlib.sha256()
    with source() as first, transfer(first.size or 0) as advance:
        for chunk in _chunks_with_resume(source, first, 0):
            digest.update(chunk)
            out.write(chunk)
            advance(len(chunk))
    if digest.hexdigest() != first.sha256:
        raise ChecksumError(_MISMATCH)


def to_file(
    source: Source,
    lead_id: int,
    choose_path: Callable[[str], Path],
    directory: Path,
    *,
    force: bool,
    transfer: Transfer,
) -> None:
    """Download a lead's CV into `directory`; `choose_path` returns its path from the sender's file name.

    Raises OSError (FileExistsError for an existing file) or LeadctlError.
    """
    sha256, size = PartialDownload.find(directory, lead_id)
    # request the last byte again: past the end of a complete file a server has no range to send
    with source(offset=max(size - 1, 0), sha256=sha256) as first:
        target = choose_path(first.name)
        with PartialDownload(directory, lead_id, first.sha256) as part, transfer(first.size or 0) as advance:
            advance(part.size)
            for chunk in _chunks_with_resume(source, first, part.size):
                part.write(chunk)
                advance(len(chunk))
            part.move_to(target, force=force)


def _chunks_with_resume(source: Source, first: "Download", offset: int) -> Iterator[bytes]:
    """Yield a CV's bytes from `offset`; resume an interrupted transfer up to RETRIES times."""
    download = first
    with ExitStack() as stack:
        for attempt in range(1, RETRIES + 2):
            try:
                if attempt > 1:
                    download = stack.enter_context(source(offset=offset, sha256=first.sha256))
                if download.sha256 != first.sha256:
                    raise LeadctlError("the CV changed during the download; try again")
                for chunk in _skip_to(download, offset):
                    offset += len(chunk)
                    yield chunk
                return
            except TryAgain as error:
                if attempt > RETRIES:
                    raise
                pause(error, attempt=attempt)


def _skip_to(download: "Download", offset: int) -> Iterator[bytes]:
    """Yield the bytes from `offset`; a server without ranges sends those before it too."""
    skip = offset - download.offset
    if skip < 0:
        raise TryAgain("the server skipped a part of the CV; try again")
    for chunk in download.chunks:
        if len(chunk) > skip:
            yield chunk[skip:]
        skip = max(skip - len(chunk), 0)


def _open_part(path: Path) -> IO[bytes]:
    """Open an interrupted download if it is this user's own file; otherwise create a new one."""
    with suppress(FileNotFoundError):
        if _is_own(path.lstat()):
            path.chmod(0o600)  # it may be a copy
            return _open(path, 0)
        path.unlink()
    return _open(path, os.O_CREAT | os.O_EXCL)


def _open(path: Path, flags: int) -> IO[bytes]:
    flags |= os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags, 0o600), "r+b")
    try:
        _lock(file)
    except BaseException:
        file.close()
        raise
    return file


def _is_own(status: os.stat_result) -> bool:
    is_mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()  # Windows has no user ids
    return is_mine and stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _lock(file: IO[bytes]) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows, which can't move a file that is open elsewhere
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LeadctlError("another leadctl is downloading this CV to the same directory") from error
    except OSError:  # a file system without locks
        pass

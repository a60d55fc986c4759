"""CVs as they arrive: beside their target until they are whole, and gone on with where they broke off."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from leadctl.errors import ChecksumError, Conflict, LeadctlError, NotFound, TryAgain
from leadctl.files.filenames import give_name
from leadctl.retries import pause

if TYPE_CHECKING:  # importing it costs 95 ms
    from leadctl.api import Api, Download

RETRIES = 3
PIECE_BYTES = 2**20

Transfer = Callable[[int], AbstractContextManager[Callable[[int], None]]]


class Part:
    """What has arrived of a CV, for its owner's eyes alone, in a hidden file named by the lead and the SHA-256.

    What breaks off is kept, to be gone on with by a later run; what can't be written, or is not what was sent, is not.
    """

    def __init__(self, directory: Path, lead_id: int, sha256: str) -> None:
        self.path = directory / f".leadctl-{lead_id}-{sha256}.part"
        self.size = 0
        self._sha256 = sha256
        self._hash = hashlib.sha256()

    @staticmethod
    def left(directory: Path, lead_id: int) -> tuple[str, int]:
        """Return the SHA-256 and the size of what broke off before; "" and 0 where there is none."""
        with suppress(OSError):
            for path in directory.glob(f".leadctl-{lead_id}-*.part"):
                if found := re.fullmatch(r".*-([0-9a-f]{64})\.part", path.name):
                    return found[1], path.lstat().st_size
        return "", 0

    def write(self, chunk: bytes) -> None:
        """Append what arrived."""
        self._file.write(chunk)
        self._add(chunk)

    def put_in_place(self, target: Path, *, force: bool) -> None:
        """Make it the target, now that all has arrived. Raises ChecksumError, FileExistsError or OSError."""
        if self._hash.hexdigest() != self._sha256:
            raise damaged()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()  # Windows moves no open file
        give_name(self.path, target, force=force)

    def __enter__(self) -> Self:
        self._file = _open_own(self.path)
        while piece := self._file.read(PIECE_BYTES):
            self._add(piece)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        with suppress(OSError):  # a full disk was told of already
            self._file.close()
        broke_off = error is not None and not isinstance(error, (ChecksumError, NotFound, OSError))
        if not (broke_off and self.size):
            self.path.unlink(missing_ok=True)

    def _add(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.size += len(piece)


@dataclass(frozen=True)
class Source:
    """Where CVs come from; `quarantined` also asks for CVs that are quarantined or were not scanned."""

    api: "Api"
    quarantined: bool = False

    @contextmanager
    def cv(self, lead_id: int, *, offset: int = 0, sha256: str = "") -> "Iterator[Download]":
        """Give a lead's CV as it comes, as Api.cv does."""
        try:
            with self.api.cv(lead_id, offset=offset, sha256=sha256, quarantined=self.quarantined) as download:
                yield download
        except Conflict as error:  # the server speaks of force, and --force is another thing here
            raise Conflict(f"{error} (--force-quarantined)") from error


def to_stream(source: Source, lead_id: int, out: IO[bytes], *, transfer: Transfer) -> None:
    """Write a lead's CV as it arrives. Raises ChecksumError, after the last of it, where it is not what was sent."""
    seen = hashlib.sha256()
    with source.cv(lead_id) as first, transfer(first.size or 0) as advance:
        for chunk in _arriving(source, lead_id, first, 0):
            seen.update(chunk)
            out.write(chunk)
            advance(len(chunk))
    if seen.hexdigest() != first.sha256:
        raise damaged()


def to_file(
    source: Source, lead_id: int, place: Callable[[str], Path], directory: Path, *, force: bool, transfer: Transfer
) -> Path:
    """Fetch a lead's CV into a file of `directory`, which `place` names by the sender's name for it; return its path.

    Raises FileExistsError or another OSError, or the LeadctlError that an answer amounts to.
    """
    sha256, size = Part.left(directory, lead_id)
    # of the last byte that is there, too: a server has none to give past the end of a file that is whole
    with source.cv(lead_id, offset=max(size - 1, 0), sha256=sha256) as first:
        target = place(first.name)
        with Part(directory, lead_id, first.sha256) as part, transfer(first.size or 0) as advance:
            advance(part.size)
            for chunk in _arriving(source, lead_id, first, part.size):
                part.write(chunk)
                advance(len(chunk))
            part.put_in_place(target, force=force)
    return target


def damaged() -> ChecksumError:
    """Return the error of a CV that has another SHA-256 than it should."""
    return ChecksumError("the CV did not arrive as it was sent (its SHA-256 differs); try again")


def _arriving(source: Source, lead_id: int, first: "Download", offset: int) -> Iterator[bytes]:
    """Yield a CV's bytes from `offset` on; where they break off they are gone on with, up to RETRIES times."""
    download = first
    with ExitStack() as stack:
        for tried in range(1, RETRIES + 2):
            try:
                if tried > 1:
                    again = source.cv(lead_id, offset=offset, sha256=first.sha256)
                    download = stack.enter_context(again)
                if download.sha256 != first.sha256:
                    raise LeadctlError("the CV was exchanged while it was fetched; try again")
                for chunk in _from(download, offset):
                    offset += len(chunk)
                    yield chunk
                return
            except TryAgain as error:
                if tried > RETRIES:
                    raise
                pause(error, tried=tried)


def _from(download: "Download", offset: int) -> Iterator[bytes]:
    """Yield what is past `offset`: a server may begin before it."""
    past = offset - download.offset
    if past < 0:
        raise TryAgain("what was there of the CV is gone; try again")
    for chunk in download.chunks:
        if len(chunk) > past:
            yield chunk[past:]
        past = max(past - len(chunk), 0)


def _open_own(path: Path) -> IO[bytes]:
    """Open what is left there, if nobody else made it, or has it open; else begin a new one."""
    with suppress(FileNotFoundError):
        if _is_own(path.lstat()):
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
    is_mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()  # Windows has no such numbers
    return is_mine and stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _lock(file: IO[bytes]) -> None:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows, which moves no file that another has open
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LeadctlError("another leadctl is fetching this CV to the same place") from error
    except OSError:  # a file system without locks
        pass

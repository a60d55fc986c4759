"""Inspection of uploaded CVs: rejects executables, and flags active content."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import IO

from intake.cvs import executables, zip_inspection
from intake.cvs.active_content import find_flags
from intake.cvs.media_type import detect_type
from intake.cvs.spool import SpooledUpload
from intake.errors import InvalidValue, StorageUnavailable

MAX_CONCURRENT = 2  # a hostile file may take a second of processor time
_slots = BoundedSemaphore(MAX_CONCURRENT)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_INSTALLERS = tuple(bytes([kind]) + b"\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0F" for kind in (0x82, 0x84, 0x86))
_CLASS_ID_OFFSET = 80  # in an OLE file's root entry
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")  # with entries, empty, in parts


@dataclass(frozen=True)
class InspectionResult:
    """The media type of a CV by its content, and warning flags for its reader."""

    detected_type: str
    flags: tuple[str, ...]


def inspect(cv: SpooledUpload, *, name: str, extensions: Sequence[str]) -> InspectionResult:
    """Return the type and flags of a file; `extensions` are the accepted ones (empty: all).

    Raises InvalidValue with a message for the sender if the file is rejected, or StorageUnavailable.
    """
    _check_name(name, extensions)
    try:
        with _slots:
            return _inspect(cv, executables.extension(name), accepts_any=not extensions)
    except OSError as error:
        raise StorageUnavailable("the file can't be inspected now; try again later") from error


def _check_name(name: str, extensions: Sequence[str]) -> None:
    extension = executables.extension(name)
    if extensions and extension not in extensions:
        *most, last = (f".{one}" for one in extensions)
        listed = f"{', '.join(most)}{' or ' if most else ''}{last}"
        remedy = "; export it as a PDF" if "pdf" in extensions else ""
        detail = f"must have a file name that ends in {listed}{remedy}"
        raise InvalidValue(detail, "not_accepted", extensions=list(extensions))
    if not extensions and executables.has_executable_name(name):
        detail = "must not have the file name of a program or script; send a document such as a PDF"
        raise InvalidValue(detail, "program")


def _inspect(cv: SpooledUpload, extension: str, *, accepts_any: bool) -> InspectionResult:
    kind = executables.executable_kind(cv.head) or _installer(cv)
    if kind is not None:
        raise InvalidValue(f"must not be {kind}; send a document such as a PDF", "program")
    detected, flags = detect_type(cv.head), set[str]()
    is_zip = cv.head.startswith(_ZIP)
    try:
        if is_zip or _ends_as_zip(cv.file, cv.size):
            contents = _contents(cv)
            detected, flags = contents.media_type if is_zip else detected, set(contents.flags)
        elif zip_inspection.is_other_archive(cv.head, cv.file):
            raise zip_inspection.UninspectableZip("can't be inspected")
    except zip_inspection.UninspectableZip as error:
        is_archive = is_zip or zip_inspection.is_other_archive(cv.head, cv.file)
        if is_archive and not (accepts_any or extension in zip_inspection.EXTENSIONS):
            detail = f"must not be an archive that {error}; send a document such as a PDF"
            raise InvalidValue(detail, "unsafe_archive") from error
        flags.add("archive")
    flags |= find_flags(cv.file, cv.head, media_type=detected, extension=extension)
    return InspectionResult(detected, tuple(sorted(flags)))


def _contents(cv: SpooledUpload) -> zip_inspection.Contents:
    contents = zip_inspection.inspect_zip(cv.file, cv.size)
    if contents.program is not None:
        detail = "must not be an archive with a program in it; send a document such as a PDF"
        raise InvalidValue(detail, "unsafe_archive")
    return contents


def _ends_as_zip(file: IO[bytes], size: int) -> bool:
    file.seek(max(0, size - zip_inspection.END_BYTES))
    return zip_inspection.END in file.read(zip_inspection.END_BYTES)


def _installer(cv: SpooledUpload) -> str | None:
    """Return "an installer" if the class id of an OLE file is that of Windows Installer."""
    if not cv.head.startswith(_OLE) or len(cv.head) < 52:
        return None
    sector_bytes = 1 << min(int.from_bytes(cv.head[30:32], "little"), 16)
    # a damaged file may name a sector behind its end, further than a file system can seek
    cv.file.seek(min((int.from_bytes(cv.head[48:52], "little") + 1) * sector_bytes + _CLASS_ID_OFFSET, cv.size))
    return "an installer" if cv.file.read(16) in _INSTALLERS else None

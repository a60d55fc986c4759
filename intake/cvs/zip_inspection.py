"""Inspection of zips and office files: names and first bytes of their entries; nothing else is unpacked."""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from intake.cvs import executables

MAX_ENTRIES = 2_000
MAX_DIRECTORY_BYTES = 2**18  # read at once; everything else in pieces
UNPACKED_BYTES = 512  # of each entry
END = b"PK\5\6"  # signature of the record at the end
END_BYTES = 2**16 + 22  # with the longest comment after it
_END = struct.Struct("<4s4H2LH")
_ZIP64_RECORDS = struct.Struct("<4sQ2H2L4Q 4sLQL")  # before the end record: another one, and its locator
_LOCATOR_BYTES = 20
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1  # a bit in the flags of an entry
_BROKEN = (BadZipFile, zlib.error, struct.error, ValueError, KeyError, RuntimeError, EOFError, OverflowError)

# signatures of archives that are not inspected
_OTHER = re.compile(
    rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\x1f\x8b\x08|BZh[1-9]|\xfd7zXZ\0|\x28\xb5\x2f\xfd|MSCF\0|\x60\xea|conectix|vhdxfile"
    rb"|KDMV|.{2}-lh\d-|.{7}\*\*ACE\*\*|.{257}ustar",
    re.DOTALL,
)
_ISO_9660 = (0x8001, b"CD001")
EXTENSIONS = frozenset("zip 7z rar gz tgz bz2 xz zst tar cab arj lzh ace".split())  # noqa: SIM905 - a list is a column
_OFFICE_EXTENSIONS = frozenset(
    "docx docm dotx dotm xlsx xlsm xlsb pptx pptm odt ods odp odg vsdx".split()  # noqa: SIM905
)

_OOXML = "application/vnd.openxmlformats-officedocument"
_OOXML_TYPES = {
    "word/": f"{_OOXML}.wordprocessingml.document",
    "xl/": f"{_OOXML}.spreadsheetml.sheet",
    "ppt/": f"{_OOXML}.presentationml.presentation",
}
MAX_RELATIONS = 50  # relationship files that are searched
_EXTERNAL = re.compile(rb"TargetMode\s?=\s?[\"']External")
_FETCHED = re.compile(rb"/(?:attachedTemplate|oleObject|frame|subDocument)[\"']")
_ODF = re.compile(rb"application/(?:vnd\.oasis\.opendocument\.[a-z-]{1,40}|epub\+zip)")


class UninspectableZip(Exception):
    """The contents of an archive can't be determined."""


@dataclass(frozen=True)
class Contents:
    """The contents of a zip: its media type, the name of an executable or None, and flags."""

    media_type: str
    program: str | None
    flags: frozenset[str]


def is_other_archive(head: bytes, file: IO[bytes]) -> bool:
    """Return whether the file is an archive other than a zip, or a disk image."""
    offset, magic = _ISO_9660
    file.seek(offset)
    return _OTHER.match(head) is not None or file.read(len(magic)) == magic


def inspect_zip(file: IO[bytes], size: int) -> Contents:
    """Return the contents of a zip of `size` bytes. Raises UninspectableZip if it is invalid, damaged or too large."""
    try:
        # data may precede a zip: the directory at its end has the offsets
        with ZipFile(bounded := _Bounded(file, size)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise UninspectableZip(f"contains more than {MAX_ENTRIES} files")
            _check_end(bounded, size, count=len(entries), directory_offset=archive.start_dir)
            if _has_overlaps(entries, directory_offset=archive.start_dir):  # only zip bombs do this
                raise UninspectableZip("has overlapping files")
            return _contents(archive, entries)
    except _BROKEN as error:
        raise UninspectableZip("can't be inspected") from error


def _check_end(file: "_Bounded", size: int, *, count: int, directory_offset: int) -> None:
    """Raise BadZipFile if the records at the end are wrong or ambiguous, so that other programs find other files."""
    file.seek(0)
    has_prefix = file.read(2) != b"PK"
    file.seek(max(0, size - END_BYTES))
    tail = file.read(END_BYTES)
    start = tail.rfind(END)
    fields, more_bytes = _end_fields(tail, start)
    directory_bytes = size - len(tail) + start - more_bytes - directory_offset
    prefix = directory_offset - fields[5]
    if fields[:5] != (0, 0, count, count, directory_bytes) or prefix < 0 or (prefix > 0 and not has_prefix):
        raise BadZipFile("its end record contradicts its directory")
    for found in re.finditer(END, tail[:start]):
        comment_bytes = tail[found.start() + _END.size - 2 : found.start() + _END.size]
        if found.start() + _END.size + int.from_bytes(comment_bytes, "little") == len(tail):
            raise BadZipFile("its end record may be another one's comment")


def _end_fields(tail: bytes, start: int) -> tuple[tuple[int, ...], int]:
    """Return the fields of the end record at `start`, and the size of the ZIP64 records before it."""
    fields = _END.unpack_from(tail, start)[1:7]
    before = tail[max(0, start - _ZIP64_RECORDS.size) : start]
    if not before[-_LOCATOR_BYTES:].startswith(b"PK\6\7"):
        return fields, 0
    signature, _, _, _, *numbers, _, _, record_offset, _ = _ZIP64_RECORDS.unpack(before)
    is_copy = all(field in (number, 2**16 - 1, 2**32 - 1) for field, number in zip(fields, numbers, strict=True))
    if signature != b"PK\6\6" or not is_copy or record_offset != numbers[4] + numbers[5]:
        raise BadZipFile("its ZIP64 records contradict its end record")
    return tuple(numbers), _ZIP64_RECORDS.size


def _has_overlaps(entries: Sequence[ZipInfo], *, directory_offset: int) -> bool:
    """Return whether an entry overlaps another one or the directory, or has the name of another one."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    ends = [entry.header_offset + _LOCAL_HEADER_BYTES + entry.compress_size for entry in ordered]
    starts = [*(entry.header_offset for entry in ordered[1:]), directory_offset]
    is_overlapping = any(end > start for end, start in zip(ends, starts, strict=False))
    return is_overlapping or len({entry.filename for entry in entries}) < len(entries)


def _contents(archive: ZipFile, entries: Sequence[ZipInfo]) -> Contents:
    names = [entry.filename for entry in entries]
    media_type = _media_type(archive, names)
    is_office = media_type != "application/zip"
    flags: set[str] = set()
    for entry in entries:
        head = _head(archive, entry)
        if head is None:
            flags.add("encrypted" if entry.flag_bits & _ENCRYPTED else "unreadable")
        if _is_program(entry.filename, head or b"", media_type):
            return Contents(media_type, entry.filename, frozenset())
        if _is_archive(entry.filename, head or b""):
            if not is_office and executables.extension(entry.filename) not in _OFFICE_EXTENSIONS:
                raise UninspectableZip("contains an archive")
            flags.add("embedded-file")
        flags.update(_flags(entry.filename, media_type))
    if not is_office and "encrypted" in flags:
        raise UninspectableZip("is encrypted")
    return Contents(media_type, None, frozenset(flags | set(_flags_of_texts(archive, names))))


def _is_program(name: str, head: bytes, media_type: str) -> bool:
    if name == "META-INF/MANIFEST.MF" or executables.executable_kind(head) is not None:
        return True
    # the scripts of an OpenDocument file are its macros
    is_macro = media_type.startswith("application/vnd.oasis") and name.startswith("Scripts/")
    return not is_macro and executables.has_executable_name(name)


def _is_archive(name: str, head: bytes) -> bool:
    if executables.extension(name) in ("emz", "wmz", "svgz"):  # compressed images
        return False
    is_one = head.startswith(b"PK\x03\x04") or _OTHER.match(head) is not None
    return is_one or executables.extension(name) in EXTENSIONS


def _media_type(archive: ZipFile, names: Sequence[str]) -> str:
    if types := _content_types(archive, names):
        for folder, media_type in _OOXML_TYPES.items():
            kind = media_type.rpartition(".")[0].rpartition(".")[2].encode()
            if any(name.startswith(folder) for name in names) or kind in types:
                return media_type
    if "mimetype" in names and (declared := _ODF.match(_read(archive, "mimetype"))):
        return declared[0].decode("ascii")
    return "application/zip"


def _content_types(archive: ZipFile, names: Sequence[str]) -> bytes:
    """Return the content types of an office file's parts in lower case, or b"" if it has none."""
    # Office ignores the case of its name
    found = next((name for name in names if name.lower() == "[content_types].xml"), None)
    return b"" if found is None else _read(archive, found).lower() or b" "


def _flags(name: str, media_type: str) -> Iterator[str]:
    """Yield the flags of an office file's entry, by its name."""
    lower = name.lower()
    if media_type.startswith(_OOXML):
        if lower.endswith(("vbaproject.bin", "vbadata.xml")) or "/macrosheets/" in lower:
            yield "macros"
        if "/embeddings/" in lower:
            yield "embedded-file"
        if "/activex/" in lower:
            yield "activex"
    elif media_type.startswith("application/vnd.oasis"):
        if lower.startswith(("basic/", "scripts/")):
            yield "macros"
        if re.fullmatch(r"object \d+", lower):  # an object with its own directory is a chart or a formula
            yield "embedded-file"


def _flags_of_texts(archive: ZipFile, names: Sequence[str]) -> Iterator[str]:
    """Yield the flags in an office file's metadata, which defines the type of a part whatever its name."""
    types = _content_types(archive, names)
    if b"ms-office.vbaproject" in types or b"macroenabled" in types:
        yield "macros"
    relations = [name for name in names if name.lower().endswith(".rels")]
    if any(_fetches(_read(archive, name)) for name in relations[:MAX_RELATIONS]):
        yield "external-template"
    if "META-INF/manifest.xml" in names and b"encryption-data" in _read(archive, "META-INF/manifest.xml"):
        yield "encrypted"


def _fetches(relations: bytes) -> bool:
    tags = relations.replace(b"\0", b"").split(b"<")  # UTF-16, too
    return any(b"External" in tag and _EXTERNAL.search(tag) and _FETCHED.search(tag) for tag in tags)


def _head(archive: ZipFile, entry: ZipInfo) -> bytes | None:
    # Python limits the unpacked size for these methods only
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or entry.flag_bits & _ENCRYPTED:
        return None
    try:
        with archive.open(entry) as file:
            return file.read(UNPACKED_BYTES)
    except _BROKEN:
        return None


def _read(archive: ZipFile, name: str) -> bytes:
    try:
        entry = archive.getinfo(name)
        if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            return b""
        with archive.open(entry) as file:
            return file.read(2**16)
    except _BROKEN:
        return b""


class _Bounded:
    """A file that is read in its bounds, and at most MAX_DIRECTORY_BYTES at once, whatever numbers a zip declares."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            size = self._size - self._file.tell()
        if size > MAX_DIRECTORY_BYTES:
            raise BadZipFile("its directory is too large")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        start = (0, self._file.tell(), self._size)[whence]
        return self._file.seek(min(max(start + offset, 0), self._size))

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

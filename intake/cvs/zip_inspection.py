"""Inspection of zips and office files: names and first bytes of their entries; nothing else is unpacked."""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from intake.cvs import executables

MAX_ENTRIES = 2_000
MAX_DIRECTORY_BYTES = 2**18  # read at once; everything else in pieces
UNPACKED_BYTES = 512  # of each entry
_ENCRYPTED = 0x1  # a bit in the flags of an entry
_BROKEN = (BadZipFile, zlib.error, ValueError, KeyError, NotImplementedError, RuntimeError, EOFError, OverflowError)

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
        with ZipFile(_Bounded(file, size)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise UninspectableZip(f"contains more than {MAX_ENTRIES} files")
            if len({entry.header_offset for entry in entries}) < len(entries):  # only zip bombs do this
                raise UninspectableZip("has overlapping files")
            return _contents(archive, entries)
    except _BROKEN as error:
        raise UninspectableZip("can't be inspected") from error


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
    """A file that reads at most MAX_DIRECTORY_BYTES at once, whatever directory size a zip declares."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            size = self._size - self._file.tell()
        if size > MAX_DIRECTORY_BYTES:
            raise BadZipFile("its directory is too large")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

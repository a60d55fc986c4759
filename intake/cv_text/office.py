"""Text of Word (DOCX) and OpenDocument (ODT) files: headers, body, notes and footers."""

import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from xml.parsers import expat
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from intake.cv_text.draft import Draft, DraftFull, ExtractionFailed

MAX_XML_BYTES = 2**26  # unpacked, of each part
CHUNK_BYTES = 2**16
MAX_SPACES = 100  # in one ODT element
_ENCRYPTED = 0x1  # a bit in the flags of an entry
_BROKEN = (BadZipFile, zlib.error, expat.ExpatError, KeyError, ValueError, EOFError, NotImplementedError, OverflowError)
_HEADER = re.compile(r"word/header\d*\.xml")
_AFTER_BODY = re.compile(r"word/(?:footnotes|endnotes|footer\d*)\.xml")
_DOCUMENT_RELATION = re.compile(rb"<[^>]{0,2000}/officeDocument[\"'][^>]{0,2000}>")
_TARGET = re.compile(rb"Target\s?=\s?[\"']/?([^\"'>]{1,200})")
_WORD = "/wordprocessingml/"
_WORD_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_ODF_BREAKS = {"tab": "\t", "line-break": "\n"}
_ODF_SKIPPED = frozenset(("tracked-changes", "annotation", "note-citation", "title", "desc", "binary-data"))


def write_docx(draft: Draft, data: bytes) -> None:
    """Write the text of a Word document. Raises ExtractionFailed or DraftFull."""
    with _translated(), ZipFile(io.BytesIO(data)) as archive:
        names = sorted(archive.namelist())
        headers = [name for name in names if _HEADER.fullmatch(name)]
        for name in (*headers, _main_part(archive), *filter(_AFTER_BODY.fullmatch, names)):
            _Word(draft).read(archive, name)


def write_odt(draft: Draft, data: bytes) -> None:
    """Write the text of an OpenDocument text. Raises ExtractionFailed or DraftFull."""
    with _translated(), ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        if "META-INF/manifest.xml" in names and b"encryption-data" in _head(archive, "META-INF/manifest.xml"):
            raise ExtractionFailed("encrypted")
        if "styles.xml" in names:
            _Odf(draft, within="header").read(archive, "styles.xml")
        _Odf(draft, within="body").read(archive, "content.xml")
        if "styles.xml" in names:
            _Odf(draft, within="footer").read(archive, "styles.xml")


class _Part:
    """Writes the text of one XML part of a document; subclasses know the format's elements."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self._skipped = 0  # depth within an element that is skipped

    def read(self, archive: ZipFile, name: str) -> None:
        """Parse a part in bounded pieces."""
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        left = MAX_XML_BYTES
        with _entry(archive, name) as file:
            while chunk := file.read(min(CHUNK_BYTES, left)):
                left -= len(chunk)
                parser.Parse(chunk)
        if left == 0:
            raise DraftFull
        parser.Parse(b"", True)

    def _on_start(self, qualified: str, attributes: dict[str, str]) -> None:
        if self._skipped or self.is_skipped(qualified):
            self._skipped += 1
        else:
            self.start(qualified, attributes)

    def _on_end(self, qualified: str) -> None:
        if self._skipped:
            self._skipped -= 1
        else:
            self.end(qualified)

    def _on_text(self, text: str) -> None:
        if not self._skipped:
            self.text(text)

    def is_skipped(self, qualified: str) -> bool:
        raise NotImplementedError

    def start(self, qualified: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def end(self, qualified: str) -> None:
        raise NotImplementedError

    def text(self, text: str) -> None:
        raise NotImplementedError


class _Word(_Part):
    """A part of a DOCX file."""

    _is_text = False

    def is_skipped(self, qualified: str) -> bool:
        # the fallback repeats the text of a box, and the tabs of a paragraph's properties are positions
        is_tabs = _WORD in qualified and qualified.endswith("}tabs")
        return is_tabs or qualified.endswith("/markup-compatibility/2006}Fallback")

    def start(self, qualified: str, _attributes: dict[str, str]) -> None:
        namespace, _, name = qualified.rpartition("}")
        if _WORD in namespace:
            self._is_text = name == "t"
            self.draft.write(_WORD_BREAKS.get(name, ""))

    def end(self, qualified: str) -> None:
        self._is_text = False
        namespace, _, name = qualified.rpartition("}")
        if _WORD in namespace and name == "p":
            self.draft.write("\n")

    def text(self, text: str) -> None:
        if self._is_text:
            self.draft.write(text)


class _Odf(_Part):
    """A part of an ODT file: its elements named `within`, such as `body`."""

    def __init__(self, draft: Draft, *, within: str) -> None:
        super().__init__(draft)
        self._within, self._depth, self._paragraphs = within, 0, 0

    def is_skipped(self, qualified: str) -> bool:
        return qualified.rpartition("}")[2] in _ODF_SKIPPED

    def start(self, qualified: str, attributes: dict[str, str]) -> None:
        name = qualified.rpartition("}")[2]
        self._depth += name.removesuffix("-left").removesuffix("-first") == self._within
        self._paragraphs += name in ("p", "h")
        if self._depth:
            self.draft.write(" " * _count(attributes) if name == "s" else _ODF_BREAKS.get(name, ""))

    def end(self, qualified: str) -> None:
        name = qualified.rpartition("}")[2]
        self._depth -= name.removesuffix("-left").removesuffix("-first") == self._within
        if name in ("p", "h"):
            self._paragraphs -= 1
            self.draft.write("\n" if self._depth else "")

    def text(self, text: str) -> None:
        if self._depth and self._paragraphs:
            self.draft.write(re.sub(r"[ \t\r\n]+", " ", text))


def _count(attributes: dict[str, str]) -> int:
    given = next((value for name, value in attributes.items() if name.endswith("}c")), "1")
    return min(int(given), MAX_SPACES) if given.isascii() and given.isdigit() and len(given) < 10 else 1


def _refuse_doctype(*_declaration: object) -> None:
    raise ExtractionFailed("damaged")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise ExtractionFailed("damaged") from error


def _main_part(archive: ZipFile) -> str:
    """Return the name of the document's main part, which some producers name differently."""
    relation = _DOCUMENT_RELATION.search(_head(archive, "_rels/.rels")) if "_rels/.rels" in archive.namelist() else None
    target = _TARGET.search(relation[0]) if relation else None
    return target[1].decode("utf-8", "replace") if target else "word/document.xml"


def _head(archive: ZipFile, name: str) -> bytes:
    with _entry(archive, name) as file:
        return file.read(CHUNK_BYTES)


def _entry(archive: ZipFile, name: str) -> IO[bytes]:
    entry = archive.getinfo(name)
    if entry.flag_bits & _ENCRYPTED:
        raise ExtractionFailed("encrypted")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # Python limits the unpacked size for these methods only
        raise ExtractionFailed("unsupported")
    return archive.open(entry)

"""Heuristic detection of active content: document features that a viewer may run or open, found by keywords.

Nothing is parsed, so that malformed files can't mislead a parser. A keyword that is hidden well is not found.
"""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import IO

SEARCHED_BYTES = 2**25
PIECE_BYTES = 2**15  # searching a piece blocks all other threads
OVERLAP_BYTES = 2**9  # longer than any keyword
MAX_OBJECT_STREAMS = 200
PACKED_BYTES = 2**16  # of an object stream: its dictionary and its searched part
UNPACKED_BYTES = 2**18
MAX_UNPACKED_BYTES = 2**22  # of all object streams together: 100 KB can unpack to 50 MB

# flags and their patterns; patterns with a fixed prefix are fast in any file
Marks = Sequence[tuple[str, re.Pattern[bytes]]]


def _utf_16(name: str) -> re.Pattern[bytes]:
    return re.compile(re.escape((name + "\0").encode("utf-16-le")))


def _pdf_name(name: str) -> str:
    """Return the pattern of a PDF name, in which each letter may be written as # and two hexadecimal digits."""
    return "".join(f"(?:{letter}|#(?i:{ord(letter):02x}))" for letter in name) + "(?![A-Za-z0-9])"


_OBJECT_STREAM = "object_stream"  # not a flag: what it contains is searched
# One pattern for all names, because a file may consist of slashes, and each name is searched until it is found once;
# object streams are all searched. An array after OpenAction is only the page to open.
_PDF_NAMES = {
    "javascript": _pdf_name("JavaScript"),
    "open_action": _pdf_name("OpenAction") + r"(?!\s*\[)",
    "launch": _pdf_name("Launch"),
    "embedded_file": _pdf_name("EmbeddedFile") + "|" + _pdf_name("EmbeddedFiles"),
    "encrypted": _pdf_name("Encrypt"),
    _OBJECT_STREAM: _pdf_name("ObjStm"),
}
_OLE: Marks = (
    ("macros", _utf_16("_VBA_PROJECT")),
    ("embedded-file", _utf_16("\1Ole10Native")),
    ("encrypted", _utf_16("EncryptedPackage")),
)
_RTF: Marks = (
    ("embedded-file", re.compile(rb"\\obj(?:ect|data|emb|update|ocx)(?![a-z])")),
    ("external-template", re.compile(rb"\\\*\s?\\template(?![a-z])")),
)
_REMOTE = rb"""["']?\s?(?:[a-z]{2,9}:)?[/\\]{2}"""  # the start of an address, on which browsers accept backslashes
_HTML: Marks = (
    ("javascript", re.compile(rb"<script[\s/>]")),
    ("javascript", re.compile(rb"javascript:")),
    ("javascript", re.compile(rb"""[\s"'/]on[a-z]{3,20}\s?=""")),
    ("javascript", re.compile(rb"srcdoc\s?=")),
    ("remote-content", re.compile(rb"""http-equiv\s?=\s?["']?\s?(?:refresh|&)""")),
    ("remote-content", re.compile(rb"""[\s"'/](?:src|srcset|poster|background|data)\s?=\s?""" + _REMOTE)),
    ("remote-content", re.compile(rb"<(?:link|base|image|use)[\s/][^<>]{0,400}?href\s?=\s?" + _REMOTE)),
    ("remote-content", re.compile(rb"(?:url\(|@import)\s?" + _REMOTE)),
)
# Word's older text formats, XML and web pages, with macros compressed and encoded
_WORDS_TEXT: Marks = (("macros", re.compile(rb"macrosPresent\s?=|application/x-mso|QWN0aXZlTWltZQ")),)

_MARKS: Mapping[str, Marks] = {
    "application/msword": _OLE,
    "application/rtf": _RTF,
    "text/html": _HTML,
    "image/svg+xml": _HTML,
}
_BROWSERS = frozenset("html htm xhtml xht shtml svg".split())  # noqa: SIM905 - a list is a column
_WORDS = frozenset("doc dot docx rtf wiz xml mht mhtml".split())  # noqa: SIM905
_STREAM = re.compile(rb"stream\r?\n")


def find_flags(file: IO[bytes], head: bytes, *, media_type: str, extension: str) -> set[str]:
    """Return the flags of a document, by keywords in its first SEARCHED_BYTES.

    The keywords depend on every type that viewers may assume: by media type, first bytes and file extension.
    """
    found = set[str]()
    if b"%PDF-" in head[:1024]:  # viewers accept this much before the signature
        found |= _found_in_pdf(file)
    if marks := _marks(head, media_type, extension):
        found = found.union(*(_found(marks, window) for _, window in _windows(file)))
    return found


def _marks(head: bytes, media_type: str, extension: str) -> Marks:
    if extension in _BROWSERS:
        return _HTML
    if head.lstrip().startswith(b"{\\rt"):
        return _RTF
    return _MARKS.get(media_type) or (_WORDS_TEXT if extension in _WORDS else ())


def _found(marks: Marks, text: bytes) -> set[str]:
    if marks is _HTML:
        text = text.replace(b"\0", b"").lower()  # UTF-16, too
    return {flag for flag, mark in marks if mark.search(text)}


def _found_in_pdf(file: IO[bytes]) -> set[str]:
    left, streams = frozenset(_PDF_NAMES), set[int]()
    for start, window in _windows(file):
        left = _search_names(window, left, streams, start)
    for text in _unpacked(file, sorted(streams)):
        left = _search_names(text, left - {_OBJECT_STREAM}, streams, 0)
    return {name.replace("_", "-") for name in _PDF_NAMES.keys() - left - {_OBJECT_STREAM}}


def _search_names(text: bytes, left: frozenset[str], streams: set[int], start: int) -> frozenset[str]:
    """Return the names that are still not found, and add the offsets of the first MAX_OBJECT_STREAMS object streams."""
    at = 0
    while left and (found := _pdf_names(left).search(text, at)):
        at = found.end()
        if found.lastgroup == _OBJECT_STREAM and len(streams) < MAX_OBJECT_STREAMS:
            streams.add(start + found.start())
        else:
            left -= {found.lastgroup}
    return left


@cache
def _pdf_names(names: frozenset[str]) -> re.Pattern[bytes]:
    """Return the pattern of any of the names in a PDF."""
    either = "|".join(f"(?P<{name}>{_PDF_NAMES[name]})" for name in sorted(names))
    return re.compile(f"/(?=[JOLE#])(?:{either})".encode())


def _windows(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield a file in overlapping pieces with their offsets."""
    file.seek(0)
    before, offset = b"", 0
    while offset < SEARCHED_BYTES and (piece := file.read(PIECE_BYTES)):
        yield offset - len(before), before + piece
        offset += len(piece)
        before = piece[-OVERLAP_BYTES:]


def _unpacked(file: IO[bytes], streams: Sequence[int]) -> Iterator[bytes]:
    """Yield the first part of each object stream at these offsets; they contain most dictionaries of a PDF."""
    left = MAX_UNPACKED_BYTES
    for offset in streams:
        file.seek(offset)
        data = file.read(PACKED_BYTES)
        if begins := _STREAM.search(data, 0, OVERLAP_BYTES):
            unpacked = b""
            with suppress(zlib.error):  # compressed in another format
                unpacked = zlib.decompressobj().decompress(data[begins.end() :], min(UNPACKED_BYTES, left))
            yield from (unpacked[at : at + PIECE_BYTES] for at in range(0, len(unpacked), PIECE_BYTES - OVERLAP_BYTES))
            left -= len(unpacked)
        if not left:  # a maximum of 0 bytes would mean no limit
            return

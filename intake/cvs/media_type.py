"""Detection of media types by content; file name and declared type are ignored."""

import codecs
from contextlib import suppress

import puremagic

HEAD_BYTES = 8192
_MIN_CONFIDENCE = 0.4  # less are signatures of one or two bytes, which also occur in text
_SIGNATURES = (  # which puremagic misses or mistakes; zips are inspected further
    (b"%PDF-", "application/pdf"),  # faster than puremagic, which takes 0.5 ms: most CVs are PDFs
    (b"PK\x03\x04", "application/zip"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x7fELF", "application/x-elf"),
)


def detect_type(head: bytes) -> str:
    """Return the media type of the file that begins with `head`; `application/octet-stream` if unknown."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with suppress(UnicodeDecodeError):
            head = codecs.getincrementaldecoder("utf-16")().decode(head, final=len(head) < HEAD_BYTES).encode()
    for magic, media_type in _SIGNATURES:
        if head.startswith(magic):
            return media_type
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):  # puremagic 1 raises if it finds nothing
        matches = []
    for match in matches:
        if match.mime_type and match.confidence >= _MIN_CONFIDENCE:
            return str(match.mime_type)
    return "text/plain" if _is_text(head) else "application/octet-stream"


def _is_text(head: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        # a full head may end within a character
        return "\0" not in decoder.decode(head, final=len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False

"""Detection of media types by content; file name and declared type are ignored."""

import codecs
import re
from contextlib import suppress

import puremagic

HEAD_BYTES = 8192
_MIN_CONFIDENCE = 0.4  # less are signatures of one or two bytes
_SIGNATURES = (  # which puremagic misses or mistakes; zips are inspected further
    (b"PK\x03\x04", "application/zip"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x7fELF", "application/x-elf"),
)
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1f]")  # in binary files
_PROLOG = rb"(?:<\?xml[^>]*+>\s*+)?(?:<!--(?>.*?-->)\s*+)*+"
# PDF and formats of text. puremagic takes 0.5 ms, and mistakes texts that begin with "From: ", "=== " or "Version "
_FORMATS = tuple(
    (re.compile(rb"(?is)" + pattern), media_type)
    for pattern, media_type in (
        (rb"%PDF-", "application/pdf"),
        (rb"\{\\rtf", "application/rtf"),
        (rb"%!PS", "application/postscript"),
        (_PROLOG + rb"(?:<!doctype svg[^>]*+>\s*+)?<svg[\s>]", "image/svg+xml"),
        (_PROLOG + rb"<(?:!doctype\s++html|html|head|body)[\s>]", "text/html"),
        (rb"<\?xml\s", "application/xml"),
        (rb"<!--", "text/html"),
    )
)


def detect_type(head: bytes) -> str:
    """Return the media type of the file that begins with `head`; `application/octet-stream` if unknown."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with suppress(UnicodeDecodeError):
            head = codecs.getincrementaldecoder("utf-16")().decode(head, final=len(head) < HEAD_BYTES).encode()
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()  # as viewers and browsers read it
    for pattern, media_type in _FORMATS:
        if pattern.match(start):
            return media_type
    for magic, media_type in _SIGNATURES:
        if head.startswith(magic):
            return media_type
    if _CONTROLS.search(head) and (found := _signature(head)):
        return found
    return "text/plain" if _is_text(head) else "application/octet-stream"


def _signature(head: bytes) -> str | None:
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):  # puremagic 1 raises if it finds nothing
        return None
    likely = (str(match.mime_type) for match in matches if match.mime_type and match.confidence >= _MIN_CONFIDENCE)
    return next(likely, None)


def _is_text(head: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        # a full head may end within a character
        return "\0" not in decoder.decode(head, final=len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False

"""What a file is, by its content: its name and its sender's word count for nothing."""

import codecs
from contextlib import suppress

import puremagic

HEAD_BYTES = 8192
_SURE_ENOUGH = 0.4  # below it stand signatures of one or two bytes, which ordinary text has too
_SURE = (  # where puremagic finds nothing, or something else; what is in a zip tells more than its head
    (b"%PDF-", "application/pdf"),  # puremagic finds it too, after half a millisecond: most CVs are PDFs
    (b"PK\x03\x04", "application/zip"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x7fELF", "application/x-elf"),
)


def detect_type(head: bytes) -> str:
    """Return the media type of the file that begins with `head`; `application/octet-stream` where nothing fits."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with suppress(UnicodeDecodeError):
            head = codecs.getincrementaldecoder("utf-16")().decode(head, final=len(head) < HEAD_BYTES).encode()
    for magic, media_type in _SURE:
        if head.startswith(magic):
            return media_type
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):  # puremagic 1 raises where 2 finds nothing
        matches = []
    for match in matches:
        if match.mime_type and match.confidence >= _SURE_ENOUGH:
            return str(match.mime_type)
    return "text/plain" if _is_text(head) else "application/octet-stream"


def _is_text(head: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        # a full head may end in the middle of a character
        return "\0" not in decoder.decode(head, final=len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False

"""What a file is, by its content: its name and its sender's word count for nothing."""

import codecs

import puremagic

HEAD_BYTES = 8192
_SURE_ENOUGH = 0.4  # below it stand signatures of one or two bytes, which ordinary text has too


def detect_type(head: bytes) -> str:
    """Return the media type of the file that begins with `head`; `application/octet-stream` where nothing fits."""
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

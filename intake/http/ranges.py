"""Ranges of bytes (RFC 9110, section 14): one at a time, and what can't be read is passed over."""

import re

from intake.errors import RangeNotSatisfiable
from intake.http.request_state import AppRequest

# more digits than any file has bytes, and fewer than Python refuses to read
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,999})-(\d{0,999})[ \t]*", re.ASCII | re.IGNORECASE)


def parse_range(request: AppRequest, *, tag: str, size: int) -> range | None:
    """Return the offsets of the bytes of a file that a request asks for; None: all of it.

    It is all of it, too, where the file is no longer the one of the If-Range's tag, and where the Range names several
    ranges or none that can be read. Raises RangeNotSatisfiable where the file has no such bytes.
    """
    if request.method != "GET" or request.headers.get("if-range", tag) != tag:
        return None
    found = _RANGE.fullmatch(", ".join(request.headers.getlist("range")))
    if found is None or (span := _span(*found.groups(), size=size)) is None:
        return None
    if not span:
        raise RangeNotSatisfiable(f"the file has {size} bytes, and none of them is in that range", size=size)
    return span


def content_range(span: range, *, size: int) -> str:
    """Return a Content-Range."""
    return f"bytes {span.start}-{span.stop - 1}/{size}"


def _span(first: str, last: str, *, size: int) -> range | None:
    if first and last and int(last) < int(first):
        return None
    if first:
        return range(min(int(first), size), min(int(last) + 1, size) if last else size)
    return range(max(size - int(last), 0), size) if last else None

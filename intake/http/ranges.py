"""Byte ranges (RFC 9110, section 14). Multiple or invalid ranges are ignored."""

import re

from intake.errors import RangeNotSatisfiable
from intake.http.request_state import AppRequest

# more digits than any size needs, and fewer than int() refuses
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,999})-(\d{0,999})[ \t]*", re.ASCII | re.IGNORECASE)


def parse_range(request: AppRequest, *, tag: str, size: int) -> range | None:
    """Return the requested offsets of a file, or None for the whole file.

    It is the whole file, too, if `tag` is not that of If-Range. Raises RangeNotSatisfiable if the file lacks the range.
    """
    if request.method != "GET" or request.headers.get("if-range", tag) != tag:
        return None
    found = _RANGE.fullmatch(", ".join(request.headers.getlist("range")))
    if found is None or (span := _span(*found.groups(), size=size)) is None:
        return None
    if not span:
        raise RangeNotSatisfiable(f"the range is beyond the end of the file, which has {size} bytes", size=size)
    return span


def content_range(span: range, *, size: int) -> str:
    """Return the value of a Content-Range header."""
    return f"bytes {span.start}-{span.stop - 1}/{size}"


def _span(first: str, last: str, *, size: int) -> range | None:
    if first and last and int(last) < int(first):
        return None
    if first:
        return range(min(int(first), size), min(int(last) + 1, size) if last else size)
    return range(max(size - int(last), 0), size) if last else None

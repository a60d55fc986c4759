"""Splitting of multipart bodies (RFC 2046, section 5.1) into parts, in chunks of any size."""

import re
from typing import Protocol

from intake.errors import MalformedBody

MAX_HEADERS = 8  # of a part; RFC 7578 knows three
MAX_HEADER_BYTES = 4096  # of one line
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r]*)")


class PartHandler(Protocol):
    """Receiver of the parts."""

    def begin_part(self, headers: dict[bytes, bytes]) -> None:
        """Begin a part with these headers, in their order; names are in lower case."""

    def add_data(self, data: bytes) -> None:
        """Add data to the part."""

    def end_part(self) -> None:
        """End the part."""


class MultipartParser:
    """Calls a handler for each part. The result does not depend on the chunks.

    Only line breaks may precede the first boundary, and a line that begins with a boundary may have nothing after it.
    """

    def __init__(self, boundary: bytes, handler: PartHandler) -> None:
        self.is_complete = False
        self._delimiter = b"\r\n--" + boundary
        self._handler = handler
        self._headers: dict[bytes, bytes] = {}
        self._buffer, self._at = b"", 0
        self._advance = self._read_start

    @property
    def buffered_bytes(self) -> int:
        """The number of bytes that wait for more data."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        """Parse a chunk. Raises MalformedBody, and the errors of the handler."""
        self._buffer, self._at = self._buffer[self._at :] + data, 0
        while not self.is_complete and self._advance():
            pass

    def _read_start(self) -> bool:
        """Read the first boundary; each of these methods returns whether the next one can continue."""
        self._buffer, first = self._buffer.lstrip(b"\r\n"), self._delimiter[2:]
        if len(self._buffer) < len(first):
            return False
        if not self._buffer.startswith(first):
            raise MalformedBody("the multipart body must begin with its boundary")
        self._at, self._advance = len(first), self._read_boundary_end
        return True

    def _read_boundary_end(self) -> bool:
        end = self._buffer[self._at : self._at + 2]
        if end in (b"", b"\r", b"-"):
            return False
        if end not in (b"\r\n", b"--"):
            raise MalformedBody("the multipart body has a boundary that does not end its line")
        self.is_complete = end == b"--"
        self._headers = {}
        self._at, self._advance = self._at + 2, self._read_header
        return True

    def _read_header(self) -> bool:
        end = self._buffer.find(b"\r\n", self._at)
        size = (end if end >= 0 else len(self._buffer) - 1) - self._at  # the last byte may be a CR
        if size > MAX_HEADER_BYTES or len(self._headers) > MAX_HEADERS:
            raise MalformedBody("a part of the multipart body has too many or too long headers")
        if end < 0:
            return False
        line, self._at = self._buffer[self._at : end], end + 2
        if not line:
            self._handler.begin_part(self._headers)
            self._advance = self._read_data
        elif (found := _HEADER.fullmatch(line)) is None:
            raise MalformedBody("a part of the multipart body has an invalid header")
        elif (name := found[1].lower()) in self._headers:
            raise MalformedBody(f"a part of the multipart body has the header {name.decode()!r} twice")
        else:
            self._headers[name] = found[2]
        return True

    def _read_data(self) -> bool:
        found = self._buffer.find(self._delimiter, self._at)
        # without a boundary, the end of the buffer may be the start of one
        end = found if found >= 0 else len(self._buffer) - len(self._delimiter) + 1
        if end > self._at:
            self._handler.add_data(self._buffer[self._at : end])
            self._at = end
        if found < 0:
            return False
        self._handler.end_part()
        self._at, self._advance = found + len(self._delimiter), self._read_boundary_end
        return True

"""Streaming parser of multipart forms (RFC 7578)."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Self, TypeVar

from intake.cvs.spool import MEMORY_BYTES, SpooledUpload
from intake.errors import BodyTooLarge, FieldError, InvalidValue, MalformedBody, UnsupportedMediaType
from intake.http.content_disposition import ContentDisposition, parse_content_disposition
from intake.http.multipart_parser import MultipartParser
from intake.http.request_state import AppRequest
from intake.http.routing import run_in_pool

MAX_BOUNDARY_CHARACTERS = 70  # RFC 2046, section 5.1.1
MAX_PARTS = 32
FILE_FIELD = "CV"
_PLAIN_ENCODINGS = (b"binary", b"8bit", b"7bit")  # these change nothing; RFC 7578, section 4.7 deprecates the header
MAX_TEXT_BYTES = 20 * 2**10  # a long text of four bytes per character
MAX_OVERHEAD_BYTES = 2**18  # everything but the file
_UNREADABLE_TEXT = (
    "could not be read, because it was not sent as UTF-8: write it with the letters A to Z, without accents"
)
_UNREADABLE_FILENAME = (
    "its name could not be read, because it was not sent as UTF-8: rename the file, with the letters A to Z only"
)

T = TypeVar("T")


@dataclass
class Form:
    """A parsed form: its text fields, its file, and errors in either."""

    spool: SpooledUpload
    texts: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    faults: list[FieldError] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # names of text fields that are ignored

    @property
    def file(self) -> SpooledUpload | None:
        """The file, if there is one."""
        return None if self.filename is None else self.spool


async def read_form(request: AppRequest, reader: "MultipartReader", work: Callable[[Form], T]) -> T:
    """Read the request's body, and return the result of `work` on the form, which runs in one of the API's threads.

    A body of up to MEMORY_BYTES is parsed there, too, in one piece. Of a larger one each chunk is, because the spool is
    on disk then, and a disk can stall.

    Raises MalformedBody, BodyTooLarge or StorageUnavailable, ServiceBusy, and the errors of `work`.
    """
    reader.is_aiohttp = "aiohttp/" in request.headers.get("user-agent", "")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal():
        reader.check_size(int(declared[:20]))  # which is too large if there are more digits
    chunks: list[bytes] = []
    size = 0

    def feed() -> None:
        data = b"".join(chunks)
        chunks.clear()
        reader.feed(data)

    def finish() -> T:
        feed()
        return work(reader.finish())

    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        reader.check_size(size)
        if size > MEMORY_BYTES:
            await run_in_pool(request, feed, is_continuation=True)
    return await run_in_pool(request, finish, is_continuation=True)


class MultipartReader:
    """Parses a form with the text fields `texts` and the file CV in chunks; its spool is deleted at the end of `with`.

    Unknown files are errors, and so are unknown text fields if the form `refuses_unknown`.

    Raises UnsupportedMediaType or MalformedBody if the content type is not that of a form.
    """

    def __init__(
        self, content_type: str, *, texts: Collection[str], max_file_bytes: int, refuses_unknown: bool = False
    ) -> None:
        self._parser = MultipartParser(_boundary(content_type), self)
        self._form = Form(SpooledUpload())
        self._texts, self._max_file_bytes = texts, max_file_bytes
        self._refuses_unknown = refuses_unknown
        self._received = self._parts = 0
        self.is_aiohttp = False  # the client
        self._seen: set[str] = set()
        self._part: _Part | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._form.spool.__exit__(*exc)

    def check_size(self, size: int) -> None:
        """Raise BodyTooLarge if a body of `size` bytes is larger than any accepted form."""
        if size > self._max_file_bytes + MAX_OVERHEAD_BYTES:
            raise BodyTooLarge(
                f"the body is too large: the file {FILE_FIELD} may have {self._max_file_bytes} bytes,"
                f" and everything else {MAX_OVERHEAD_BYTES}"
            )

    def feed(self, data: bytes) -> None:
        """Parse a chunk of the body. Raises MalformedBody, BodyTooLarge or StorageUnavailable."""
        self._received += len(data)
        self.check_size(self._received)
        self._parser.feed(data)

    def finish(self) -> Form:
        """Return the form. Raises MalformedBody if its last boundary is missing."""
        if not self._parser.is_complete:
            raise MalformedBody("the multipart body ends before its closing boundary")
        return self._form

    def begin_part(self, headers: dict[bytes, bytes]) -> None:
        """Begin a part; called by the parser."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MalformedBody(f"the form has more than {MAX_PARTS} parts")
        # aiohttp percent-encodes the whole name by default, and writes the type first; .NET also writes the type first
        is_encoded = self.is_aiohttp and next(iter(headers), b"") == b"content-type"
        try:
            header = headers.get(b"content-disposition", b"")
            disposition = parse_content_disposition(header, is_percent_encoded=is_encoded)
        except ValueError as error:
            raise MalformedBody(f"a part has an invalid Content-Disposition: {error}") from error
        self._part = self._open(disposition, headers)
        encoding = headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if encoding not in _PLAIN_ENCODINGS:
            raise MalformedBody(f"the part {disposition.name!r} has a Content-Transfer-Encoding; send it without one")

    def _open(self, disposition: ContentDisposition, headers: dict[bytes, bytes]) -> "_Part":
        name, is_file = disposition.name, disposition.filename is not None
        if name in self._seen and (name in self._texts or name == FILE_FIELD):
            self._add_error(name, "given more than once; send one", "repeated")
            return _Part(name)
        self._seen.add(name)
        if name == FILE_FIELD:
            # browsers send an empty name and no bytes if no file was chosen
            self._form.filename = disposition.filename or None
            if not is_file:
                self._add_error(name, "must be a file", "wrong_type", expected="file")
            elif not disposition.is_utf8:
                self._add_error(name, _UNREADABLE_FILENAME, "not_utf8")
            return _Part(name, is_stored_file=is_file)
        if is_file:
            return _Part(name, is_refused=True)
        is_known = name in self._texts
        if not is_known and self._refuses_unknown:
            self._add_error(name, "unknown field; leave it out", "unknown")
        elif not is_known:
            self._form.unknown.append(name)
        return _Part(name, is_text=is_known, charset=_charset(headers))

    def add_data(self, data: bytes) -> None:
        """Add data to the part; called by the parser."""
        part = self._part
        assert part is not None
        if part.is_stored_file:
            self._write_file(data)
        elif part.is_refused:
            if part.name in self._texts:
                self._add_error(part.name, "must be text, not a file", "wrong_type", expected="text")
            else:
                self._add_error(part.name, "unknown file; leave it out", "unknown")
            part.is_refused = False
        elif part.is_text and len(part.text) <= MAX_TEXT_BYTES:
            part.text += data[: MAX_TEXT_BYTES + 1]

    def _write_file(self, data: bytes) -> None:
        if self._form.spool.size + len(data) > self._max_file_bytes:
            raise BodyTooLarge(f"the file {FILE_FIELD} is larger than {self._max_file_bytes} bytes")
        self._form.spool.write(data)

    def end_part(self) -> None:
        """End the part; called by the parser."""
        part = self._part
        assert part is not None
        if part.is_text:
            try:
                self._form.texts[part.name] = part.decode_text()
            except ValueError as error:
                self._append_error(FieldError.of(part.name, error))

    def _add_error(self, name: str, detail: str, code: str, **params: object) -> None:
        self._append_error(FieldError(name, detail, code, params))

    def _append_error(self, error: FieldError) -> None:
        if all(fault.field != error.field for fault in self._form.faults):
            self._form.faults.append(error)


@dataclass
class _Part:
    """The current part, and how its data is processed."""

    name: str
    is_text: bool = False
    is_stored_file: bool = False
    is_refused: bool = False
    charset: str = "utf-8"
    text: bytes = b""

    def decode_text(self) -> str:
        if len(self.text) > MAX_TEXT_BYTES:
            raise InvalidValue(
                f"must have at most {MAX_TEXT_BYTES} bytes", "too_long", max=MAX_TEXT_BYTES, unit="bytes"
            )
        if self.charset not in ("utf-8", "utf8", "us-ascii", "ascii") and not self.text.isascii():
            raise InvalidValue(_UNREADABLE_TEXT, "not_utf8")
        try:
            return self.text.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidValue(_UNREADABLE_TEXT, "not_utf8") from None


def _charset(headers: dict[bytes, bytes]) -> str:
    found = re.search(rb'charset="?([^\s;"]{1,40})', headers.get(b"content-type", b""), re.IGNORECASE)
    return found[1].decode("ascii", "replace").lower() if found else "utf-8"


def _boundary(content_type: str) -> bytes:
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() != "multipart/form-data":
        raise UnsupportedMediaType("the body must be multipart/form-data")
    found = re.search(r'(?:^|;)\s*boundary=(?:"([^"]+)"|([^\s;"]+))', parameters, re.IGNORECASE)
    if found is None or len(found[1] or found[2]) > MAX_BOUNDARY_CHARACTERS:
        raise MalformedBody(f"the Content-Type lacks a boundary of 1 to {MAX_BOUNDARY_CHARACTERS} characters")
    return (found[1] or found[2]).encode("latin-1")

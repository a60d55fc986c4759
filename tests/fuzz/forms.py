"""Properties of the multipart reader for any form, split into any chunks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import httpx2

from intake.errors import BodyTooLarge, FieldError, MalformedBody
from intake.http.multipart import MAX_PARTS, MAX_TEXT_BYTES, MultipartReader

BOUNDARY = "fuzz"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
TEXTS = ("email", "f_name", "l_name")
MAX_FILE_BYTES = 300
LONG_BYTES = 700  # longer forms are not read byte by byte, which is slow
MAX_PART_BYTES = 8 * 2**13  # buffered headers of a part: eight of 4 KiB, and names derived from them
EXPECTED = (MalformedBody, BodyTooLarge)

# as curl, browsers, aiohttp, Node and requests write them
SEEDS = tuple(
    form.replace("\n", "\r\n").encode()
    for form in (
        (
            '--fuzz\nContent-Disposition: form-data; name="email"\n\nada@example.com\n'
            '--fuzz\nContent-Disposition: form-data; name="CV"; filename="cv.pdf"\n'
            "Content-Type: application/pdf\n\n%PDF-1.4\n--fuzz--\n"
        ),
        (
            '--fuzz\nContent-Disposition: form-data; name="f_name"\n\nJosé\n--fuzz\n'
            'Content-Disposition: form-data; name="CV"; filename="a%22b.docx"\n'
            "Content-Type: application/octet-stream\n\n\n--fuzz--\n"
        ),
        (
            "--fuzz\nContent-Type: text/plain; charset=utf-8\nContent-Disposition: form-data; name=l_name\n\nx\n"
            "--fuzz\nContent-Type: application/pdf\n"
            "Content-Disposition: form-data; filename*=utf-8''na%C3%AFve.pdf; name=CV\n\nx\n--fuzz--\n"
        ),
        (
            '--fuzz\nContent-Disposition: form-data; name="email"\nContent-Transfer-Encoding: 8bit\n\na\n'
            '--fuzz\nContent-Disposition: form-data; name="other"; filename="x"\n\nx\n--fuzz--\nepilogue'
        ),
        (
            'preamble\n--fuzz\nContent-Disposition: form-data; name="CV"; filename="D:\\\\c"; filename*=UTF-8\'\'c\n\n'
            "\n--fuz\n-\n--fuzz \n\n--fuzz--"
        ),
    )
)
TOKENS = (
    b"--fuzz",
    b"--fuzz--",
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n--fuzz\r\n",
    b"\r\n--fuzz--\r\n",
    b"Content-Disposition: form-data; name=",
    b"Content-Type: text/plain; charset=latin-1\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b'; filename="',
    b"; filename*=UTF-8''%",
    b'name="CV"',
    b"email",
    b'\\"',
    b"\x00",
    b"\xff",
    "é".encode(),
    b": ",
    b"x" * 301,
    b"y" * 4300,
    b"z" * (MAX_TEXT_BYTES + 1),
)


@dataclass(frozen=True)
class Outcome:
    """Result of reading a form: the class of its error, or its contents."""

    error: type[Exception] | None = None
    texts: tuple[tuple[str, str], ...] = ()
    filename: str | None = None
    content: bytes = b""
    faults: tuple[FieldError, ...] = ()


def read(pieces: Iterable[bytes], *, content_type: str = CONTENT_TYPE) -> Outcome:
    """Read a form; fail on undocumented exceptions and on excessive buffering."""
    try:
        with MultipartReader(content_type, texts=TEXTS, max_file_bytes=MAX_FILE_BYTES) as reader:
            for piece in pieces:
                reader.feed(piece)
                assert _buffered_bytes(reader) <= MAX_PARTS * MAX_PART_BYTES + len(piece)
            form = reader.finish()
            form.spool.file.seek(0)
            content = form.spool.file.read()
            return Outcome(None, tuple(form.texts.items()), form.filename, content, tuple(form.faults))
    except EXPECTED as error:
        return Outcome(type(error))


def check_any(body: bytes, cuts: Sequence[int]) -> None:
    """Check that a body is read the same way whole, cut anywhere, and byte by byte."""
    whole = read([body])
    in_pieces = _cut(body, cuts)
    assert read(in_pieces) == whole, (in_pieces, read(in_pieces), whole)
    if len(body) < LONG_BYTES:
        by_byte = read(bytes([byte]) for byte in body)
        assert by_byte == whole, (body, by_byte, whole)


def check_encoded(texts: dict[str, str], filename: str, content: bytes, cuts: Sequence[int]) -> None:
    """Check that a form encoded by httpx2 is read back unchanged."""
    request = httpx2.Request("POST", "http://localhost/", data=texts, files={"CV": (filename, content)})
    outcome = read(_cut(request.read(), cuts), content_type=request.headers["content-type"])
    assert outcome == Outcome(None, tuple(texts.items()), filename, content), outcome


def sendable_name(text: str) -> str:
    """Return the part of a text that survives as a file name: no directories, no encoded characters."""
    return "".join(one for one in text if one.isprintable() and one not in '/\\%"').strip().strip(".")


def _cut(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    positions = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:end] for start, end in pairwise(positions)]


def _buffered_bytes(reader: MultipartReader) -> int:
    part = reader._part.text if reader._part else b""
    headers = sum(len(name) + len(value) for name, value in reader._parser._headers.items())
    names = sum(map(len, reader._seen)) + sum(len(fault.field) for fault in reader._form.faults)
    texts = sum(map(len, reader._form.texts.values()))
    return reader._parser.buffered_bytes + headers + names + texts + len(part)

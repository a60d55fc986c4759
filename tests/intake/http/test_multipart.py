"""Multipart reader, fed in chunks of any size."""

from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from intake.cvs.spool import SpooledUpload
from intake.database.schema import lead
from intake.errors import BodyTooLarge, FieldError, MalformedBody, UnsupportedMediaType
from intake.http.multipart import MAX_TEXT_BYTES, MultipartReader
from tests.conftest import Intake
from tests.fuzz.forms import SEEDS, TOKENS, check_any, check_encoded

BOUNDARY = "xYz"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
UNREADABLE = "could not be read, because it was not sent as UTF-8: write it with the letters A to Z, without accents"
UNREADABLE_NAME = (
    "its name could not be read, because it was not sent as UTF-8: rename the file, with the letters A to Z only"
)


class Read(NamedTuple):
    """A form that was read, without its spool."""

    texts: dict[str, str]
    filename: str | None
    faults: list[FieldError]
    content: bytes
    has_file: bool


def part(headers: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {headers}\r\n\r\n".encode() + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def read(data: bytes, *, piece: int = 10_000, content_type: str = CONTENT_TYPE, max_file_bytes: int = 1000) -> Read:
    texts = ("email", "f_name", "l_name")
    with MultipartReader(content_type, texts=texts, max_file_bytes=max_file_bytes) as reader:
        for at in range(0, len(data), piece):
            reader.feed(data[at : at + piece])
        form = reader.finish()
        form.spool.file.seek(0)
        return Read(form.texts, form.filename, form.faults, form.spool.file.read(), form.file is not None)


@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    file=st.binary(max_size=500),
    piece=st.integers(1, 60),
)
def test_texts_and_file_in_any_chunks(name: str, file: bytes, piece: int) -> None:
    if f"--{BOUNDARY}" in name or f"--{BOUNDARY}".encode() in file:
        return
    form = read(body(part('name="f_name"', name.encode()), part('name="CV"; filename="x"', file)), piece=piece)
    assert form.texts == {"f_name": name}
    assert form.content == file
    assert form.filename == "x"
    assert not form.faults


@given(st.binary(max_size=600), st.integers(1, 40))
def test_random_bytes_are_at_most_malformed(noise: bytes, piece: int) -> None:
    with suppress(MalformedBody, BodyTooLarge):
        read(f"--{BOUNDARY}\r\n".encode() + noise, piece=piece)


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_an_incomplete_body_is_malformed(cut: int) -> None:
    whole = body(part('name="email"', b"ada@example.com"), part('name="CV"; filename="x"', b"content"))
    with pytest.raises(MalformedBody):
        read(whole[: -cut - 4])


def test_an_epilogue_is_ignored() -> None:
    assert read(body(part('name="email"', b"a")) + b"what follows").texts == {"email": "a"}


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_only_line_breaks_may_precede_the_first_boundary(piece: int) -> None:
    whole = body(part('name="email"', b"a"))
    assert read(b"\r\n\r\n" + whole, piece=piece).texts == {"email": "a"}
    with pytest.raises(MalformedBody):
        read(b"\r\na preamble\r\n" + whole, piece=piece)


def test_unknown_texts_are_ignored() -> None:
    assert read(body(part('name="submit"', b"Send"), part('name="email"', b"a"))).texts == {"email": "a"}


def test_a_file_that_was_not_chosen_is_absent() -> None:
    form = read(body(part('name="CV"; filename=""', b"")))
    assert not form.has_file
    assert not form.faults


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        (
            [part('name="email"', b"a"), part('name="email"', b"b")],
            FieldError("email", "given more than once; send one", "repeated"),
        ),
        (
            [part('name="CV"; filename="a"', b"a"), part('name="CV"; filename="b"', b"b")],
            FieldError("CV", "given more than once; send one", "repeated"),
        ),
        (
            [part('name="email"; filename="a"', b"a")],
            FieldError("email", "must be text, not a file", "wrong_type", {"expected": "text"}),
        ),
        ([part('name="other"; filename="a"', b"a")], FieldError("other", "unknown file; leave it out", "unknown")),
        ([part('name="CV"', b"text")], FieldError("CV", "must be a file", "wrong_type", {"expected": "file"})),
        ([part('name="f_name"', b"\xff\xfe")], FieldError("f_name", UNREADABLE, "not_utf8")),
        (
            [part('name="f_name"\r\nContent-Type: text/plain; charset=ISO-8859-1', "é".encode("latin-1"))],
            FieldError("f_name", UNREADABLE, "not_utf8"),
        ),
        (
            [part('name="f_name"', b"a" * (MAX_TEXT_BYTES + 1))],
            FieldError(
                "f_name",
                f"must have at most {MAX_TEXT_BYTES} bytes",
                "too_long",
                {"max": MAX_TEXT_BYTES, "unit": "bytes"},
            ),
        ),
    ],
)
def test_errors_name_their_field(parts: list[bytes], fault: FieldError) -> None:
    assert read(body(*parts)).faults == [fault]


@pytest.mark.parametrize(
    ("charset", "name"), [("latin-1", "Zoë.pdf"), ("shift_jis", "表.pdf"), ("shift_jis", "表"), ("big5", "成功")]
)
@pytest.mark.parametrize("piece", [1, 1000])
def test_a_file_name_in_another_charset_is_an_error_of_the_file(charset: str, name: str, piece: int) -> None:
    whole = body(part(f'name="CV"; filename="{name}"', b"x"), part('name="email"', b"a")).decode().encode(charset)
    form = read(whole, piece=piece)
    assert (form.faults, form.texts) == ([FieldError("CV", UNREADABLE_NAME, "not_utf8")], {"email": "a"})


def test_an_unknown_field_with_a_name_in_another_charset_is_ignored() -> None:
    form = read(body(part('name="größe"', b"x"), part('name="email"', b"a")).decode().encode("latin-1"))
    assert (form.faults, form.texts) == ([], {"email": "a"})


def test_a_charset_does_not_matter_to_plain_ascii() -> None:
    form = read(body(part('name="f_name"\r\nContent-Type: text/plain; charset=ISO-8859-1', b"Ada")))
    assert form.texts == {"f_name": "Ada"}


@pytest.mark.parametrize(
    "data",
    [
        b"no boundary at all",
        body(*(part(f'name="f{n}"', b"") for n in range(33))),
        body(part('filename="x"', b"x")),
        f"--{BOUNDARY}\r\n\r\nno headers\r\n--{BOUNDARY}--\r\n".encode(),
        body(part('name="CV"; filename="x"\r\nContent-Transfer-Encoding: base64', b"YQ==")),
        b"",
    ],
)
def test_malformed_bodies(data: bytes) -> None:
    with pytest.raises(MalformedBody):
        read(data)


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'b' * 71}"],
)
def test_a_content_type_without_a_boundary(content_type: str) -> None:
    with pytest.raises(MalformedBody):
        read(b"", content_type=content_type)


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/mixed; boundary=x", "\xff"])
def test_other_content_types(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        read(b"", content_type=content_type)


# as written by aiohttp 3.14, with and without quote_fields
AIOHTTP = [("my%20cv.pdf", "my cv.pdf"), ("L%C3%B6v%2520.pdf", "Löv%20.pdf"), ("CV%20 Ada.pdf", "CV%20 Ada.pdf")]


@pytest.mark.parametrize(("sent", "name"), AIOHTTP)
def test_whole_names_are_decoded_only_for_aiohttp(intake: Intake, sent: str, name: str) -> None:
    disposition = f'Content-Disposition: form-data; name="CV"; filename="{sent}"\r\n'.encode()
    kind = b"Content-Type: application/pdf\r\n"
    texts = body(part('name="email"', b"a@b.example"), part('name="f_name"', b"A"), part('name="l_name"', b"B"))
    aiohttp = "Python/3.13 aiohttp/3.14.5"
    for agent, headers in ((aiohttp, kind + disposition), (aiohttp, disposition + kind), ("", kind + disposition)):
        file = b"--" + BOUNDARY.encode() + b"\r\n" + headers + b"\r\n%PDF-1.4\r\n"
        sent_headers = {"Content-Type": CONTENT_TYPE, "User-Agent": agent}
        assert intake.client.post("/leads/", content=file + texts, headers=sent_headers).status_code == 204
    stored = intake.read(lambda c: list(c.scalars(select(lead.c.CV_name).order_by(lead.c.id))))
    assert stored == [name, sent, sent]


def test_a_quoted_boundary() -> None:
    form = read(body(part('name="email"', b"a")), content_type=f'Multipart/Form-Data; charset=x; boundary="{BOUNDARY}"')
    assert form.texts == {"email": "a"}


def test_a_file_over_the_limit_is_refused() -> None:
    assert len(read(body(part('name="CV"; filename="x"', b"x" * 1000))).content) == 1000
    with pytest.raises(BodyTooLarge, match="CV is larger than 1000 bytes"):
        read(body(part('name="CV"; filename="x"', b"x" * 1001)), piece=100)


def test_other_large_parts_are_refused() -> None:
    with pytest.raises(BodyTooLarge):
        read(body(part('name="unknown"', b"x" * 300_000)))


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_the_fuzzers_checks_pass_for_its_seeds(seed: int) -> None:
    for number, token in enumerate(TOKENS):
        at = number * 7 % len(SEEDS[seed])
        check_any(SEEDS[seed][:at] + token + SEEDS[seed][at:], [at, at + 1])


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.binary(max_size=300), st.integers(1, 60))
def test_a_form_encoded_by_httpx_is_read_back_equal(text: str, content: bytes, cut: int) -> None:
    check_encoded({"email": "ada@example.com", "f_name": text, "l_name": text * 2}, "cv.pdf", content, [cut, cut * 3])


@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Disposition form-data\r\n",
        b"Content Disposition: form-data\r\n",
        b"Content-Disposition: form-data; name=a\rb\r\n",
        b"X: " + b"x" * 5000 + b"\r\n",
        b"".join(f"X{number}: x\r\n".encode() for number in range(9)),
        b"X: 1\r\nx: 2\r\n",
    ],
)
def test_invalid_headers_of_a_part_are_malformed(headers: bytes, piece: int) -> None:
    with pytest.raises(MalformedBody, match="header"):
        read(f"--{BOUNDARY}\r\n".encode() + headers + b"\r\nx\r\n" + body(), piece=piece)


@pytest.mark.parametrize("piece", [1, 1000])
def test_a_line_that_begins_with_the_boundary_ends_with_it(piece: int) -> None:
    with pytest.raises(MalformedBody, match="does not end its line"):
        read(body(part('name="CV"; filename="x"', f"\r\n--{BOUNDARY}z".encode())), piece=piece)


def test_a_large_file_moves_from_memory_to_disk_unchanged() -> None:
    content = bytes(range(256)) * 2**13  # 2 MiB
    with SpooledUpload() as spool:
        for at in range(0, len(content), 70_000):
            spool.write(content[at : at + 70_000])
        spool.file.seek(0)
        assert (spool.file.read(), spool.size) == (content, len(content))
        assert isinstance(spool.file.fileno(), int)


def test_a_small_file_has_no_temporary_file() -> None:
    with SpooledUpload() as spool:
        spool.write(b"%PDF-1.4 ")
        spool.write(b"a CV")
        spool.file.seek(0)
        assert spool.file.read() == b"%PDF-1.4 a CV"
        with pytest.raises(OSError, match="fileno"):
            spool.file.fileno()

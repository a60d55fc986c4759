"""Content-Disposition of many clients."""

import re
import time
from contextlib import suppress
from email.message import Message
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from intake.http.content_disposition import ContentDisposition, attachment, parse_content_disposition

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("header", "name", "filename"),
    [
        ('form-data; name="CV"; filename="cv.pdf"', "CV", "cv.pdf"),
        ('form-data; filename="cv.pdf"; name="CV"', "CV", "cv.pdf"),
        ("form-data; name=CV; filename=cv.pdf", "CV", "cv.pdf"),
        ("form-data; name=CV; filename=my cv.pdf", "CV", "my cv.pdf"),
        ('Form-Data;name="CV";filename=""', "CV", ""),
        ('form-data; name="email"', "email", None),
        ('form-data; name="CV"; filename="r\u00e9sum\u00e9.pdf"', "CV", "r\u00e9sum\u00e9.pdf"),
        # a browser, for a name with quotes in it; curl before 7.81 for the same
        ('form-data; name="CV"; filename="a %22b%22.pdf"', "CV", 'a "b".pdf'),
        (r'form-data; name="CV"; filename="a \"b\".pdf"', "CV", 'a "b".pdf'),
        ('form-data; name="CV"; filename="100% me.pdf"', "CV", "100% me.pdf"),
        ('form-data; name="CV"; filename="a;b=c.pdf"', "CV", "a;b=c.pdf"),
        ('form-data; name="CV"; filename="my%20cv.pdf"', "CV", "my%20cv.pdf"),
        ("form-data; name=CV; filename*=windows-1252''r%E9.pdf", "CV", "windows-1252''r%E9.pdf"),
        ('form-data; name="CV"; filename=" cv.pdf "', "CV", "cv.pdf"),
        ('form-data; name="CV"; filename=".."', "CV", ""),
        # RFC 5987, alone and beside a fallback, before and after it
        ("form-data; name=\"CV\"; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf", "CV", "r\u00e9sum\u00e9.pdf"),
        ("form-data; name=CV; filename=cv.pdf; filename*=utf-8''%e2%82%ac.pdf", "CV", "€.pdf"),
        ("form-data; filename*=utf-8'en'%e2%82%ac.pdf; name=CV; filename=cv.pdf", "CV", "€.pdf"),
        ("form-data; name=CV; filename*=iso-8859-1''r%E9sum%E9.pdf", "CV", "r\u00e9sum\u00e9.pdf"),
        ("form-data; name=CV; filename=cv.pdf; filename*=utf-8''%ff", "CV", "cv.pdf"),
        # directories are removed
        (r'form-data; name="CV"; filename="C:\Users\Ada\cv.pdf"', "CV", "cv.pdf"),
        ('form-data; name="CV"; filename="../../etc/passwd"', "CV", "passwd"),
        ("form-data; name=CV; filename*=utf-8''..%2F..%2Fcv.pdf", "CV", "cv.pdf"),
    ],
)
def test_names_of_known_clients(header: str, name: str, filename: str | None) -> None:
    assert parse_content_disposition(header.encode()) == ContentDisposition(name, filename)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"attachment; name=CV",
        b"form-data",
        b'form-data; filename="cv.pdf"',
        b'form-data; name="CV"; name="email"',
        b'form-data; name="CV',
        b"form-data; name=CV; ??",
    ],
)
def test_headers_without_a_field_are_refused(header: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any will do
        parse_content_disposition(header)


@given(NAMES)
def test_names_encoded_by_browsers(name: str) -> None:
    assume(
        not re.search("%(22|0a|0d)", name, re.IGNORECASE)
    )  # browsers send these like the characters that they encode
    escaped = name.replace('"', "%22")
    assert parse_content_disposition(f'form-data; name="CV"; filename="{escaped}"'.encode()).filename == base(name)


@given(NAMES)
def test_percent_encoded_names(name: str) -> None:
    header = f'form-data; name="CV"; filename="{quote(name, safe="")}"'
    assert parse_content_disposition(header.encode(), is_percent_encoded=True).filename == base(name)


def base(name: str) -> str:
    return "" if name.strip() in (".", "..") else name.strip()


def test_a_long_header_is_parsed_fast() -> None:
    header = b"form-data; name=a; z=a" + b" " * 100_000 + b"a"
    began = time.thread_time()
    with suppress(ValueError):
        parse_content_disposition(header)
    assert time.thread_time() - began < 1


@given(NAMES)
def test_names_encoded_by_rfc_5987(name: str) -> None:
    header = f"form-data; name=\"CV\"; filename*=UTF-8''{quote(name, safe='')}"
    assert parse_content_disposition(header.encode()).filename == base(name)


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_value_errors(noise: bytes) -> None:
    with suppress(ValueError):
        parse_content_disposition(b"form-data; name=CV; " + noise)


@given(NAMES)
def test_no_name_escapes_from_a_download_header(name: str) -> None:
    header = attachment(name)
    assert header.isascii()
    assert "\r" not in header
    assert "\n" not in header
    assert re.fullmatch(r"attachment; filename=\"[A-Za-z0-9._ -]+\"; filename\*=UTF-8''[A-Za-z0-9._~%-]+", header)
    message = Message()
    message["Content-Disposition"] = header.partition(" filename=")[0] + header.partition('";')[2]
    assert message.get_filename() == name.strip()

"""Detection of media types by content."""

import time

import pytest

from intake.cvs.media_type import HEAD_BYTES, detect_type
from tests.system.demo import pdf


@pytest.mark.parametrize(
    ("head", "detected"),
    [
        (pdf("Ada"), "application/pdf"),
        (b"{\\rtf1\\ansi Ada}", "application/rtf"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "application/msword"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "image/png"),
        (b"<html><body>Ada", "text/html"),
        (b"Ada Lovelace, analyst", "text/plain"),
        ("Zoë".encode() * HEAD_BYTES, "text/plain"),
        (b"\xff\xd8\xff\xe1\0\x10Exif\0", "image/jpeg"),
        (b"II*\0" + bytes(8), "image/tiff"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "application/x-7z-compressed"),
        ("Zoë".encode("utf-16"), "text/plain"),
        ("<html><body>Zoë".encode("utf-16"), "text/html"),
        ("Zoë".encode("utf-16-be"), "application/octet-stream"),
        (b"\0\1\2\3", "application/octet-stream"),
        (b"\xff\xfe\xfd", "application/octet-stream"),
        (b"", "text/plain"),
        (b"\n%PDF-1.4", "application/pdf"),
        (b"\xef\xbb\xbf\n{\\rtf1 Ada}", "application/rtf"),
        (b"%!PS-Adobe-3.0", "application/postscript"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "text/html"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">', "text/html"),
        (b'<?xml version="1.0"?><!-- <html> --><svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml"),
        (b'<?xml version="1.0"?><resume>', "application/xml"),
    ],
)
def test_types_are_detected_by_content(head: bytes, detected: str) -> None:
    assert detect_type(head[:HEAD_BYTES]) == detected


@pytest.mark.parametrize(
    "start",
    [
        *("=== CV ===", "*** CV ***", "--- Ada", "From: Ada", "From 2019 to 2024", "Subject: CV"),
        *("Version 3 of my CV", "0123456789", "8BPS", "GIF89a", "Index: 1", "begin 644 files", "Résumé"),
    ],
)
def test_the_first_words_of_a_text_are_not_a_signature(start: str) -> None:
    assert detect_type(f"{start}\nAda Lovelace\n".encode()) == "text/plain"


@pytest.mark.parametrize("head", [b"<!-- -->" * 1024, b"<!--" * 2048, b"<?xml " * 1300, b"<?xml>" + b"<!---->" * 1100])
def test_markup_that_never_ends_is_searched_once(head: bytes) -> None:
    began = time.process_time()
    detect_type(head)
    assert time.process_time() - began < 0.5

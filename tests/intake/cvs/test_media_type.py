"""Detection of media types by content."""

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
    ],
)
def test_types_are_detected_by_content(head: bytes, detected: str) -> None:
    assert detect_type(head[:HEAD_BYTES]) == detected

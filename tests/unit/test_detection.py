"""Types by content."""

import io
import zipfile

import pytest

from intake.cvs.detection import HEAD_BYTES, detect_type
from tests.system.demo import pdf


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, "<x/>")
    return made.getvalue()


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
        (b"\0\1\2\3", "application/octet-stream"),
        (b"\xff\xfe\xfd", "application/octet-stream"),
        (b"", "text/plain"),
    ],
)
def test_detection(head: bytes, detected: str) -> None:
    assert detect_type(head[:HEAD_BYTES]) == detected


def test_an_office_file_is_told_as_one() -> None:
    assert "wordprocessingml" in detect_type(zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"))

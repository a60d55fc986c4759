"""Minimal files of many kinds."""

import io
import zipfile
import zlib
from collections.abc import Mapping

# in two pieces, so that virus scanners do not report this source file
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
OLE_SECTOR_BYTES = 512


def zipped(entries: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def docx(more: Mapping[str, bytes] | None = None) -> bytes:
    """Return a Word document."""
    return zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document/>", **(more or {})})


def odt(more: Mapping[str, bytes] | None = None) -> bytes:
    """Return an OpenDocument text."""
    kind = b"application/vnd.oasis.opendocument.text"
    return zipped({"mimetype": kind, "content.xml": b"<office:document/>", **(more or {})})


def ole(*names: str, class_id: bytes = bytes(16)) -> bytes:
    """Return an OLE file whose directory has these names under its root."""
    header = OLE + bytes(22) + (9).to_bytes(2, "little") + bytes(16) + (1).to_bytes(4, "little")
    return header.ljust(2 * OLE_SECTOR_BYTES, b"\0") + b"".join(
        _directory_entry(name, class_id if number == 0 else bytes(16))
        for number, name in enumerate(("Root Entry", *names))
    )


def _directory_entry(name: str, class_id: bytes) -> bytes:
    return (name + "\0").encode("utf-16-le").ljust(80, b"\0") + class_id + bytes(32)


INSTALLER = ole(class_id=bytes.fromhex("84100c0000000000c000000000000046"))


def pdf(body: str, *, packed: str = "") -> bytes:
    """Return a minimal PDF with these objects, and with `packed` in a compressed object stream."""
    stream = zlib.compress(packed.encode())
    head = f"1 0 obj\n<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length {len(stream)}>>\nstream\r\n".encode()
    return b"%PDF-1.5\n" + body.encode() + (head + stream + b"\nendstream" if packed else b"") + b"\n%%EOF\n"

"""Inspection of submitted files: rejection of programs and archives, and flags."""

import io
import struct
import time
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intake.cvs import zip_inspection
from intake.cvs.inspection import InspectionResult, inspect
from intake.cvs.spool import SpooledUpload
from intake.settings import Settings
from tests.files import INSTALLER, docx, odt, ole, pdf, zipped

DEFAULT_EXTENSIONS = Settings().cv_extensions
LIMIT_S = 5.0  # an idle machine needs a tenth of that
PE = b"MZ\x90\0" + bytes(56) + struct.pack("<I", 64) + b"PE\0\0"
ELF = b"\x7fELF\2\1\1" + bytes(20)
JAR = zipped({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0", "Main.class": b"\xca\xfe\xba\xbe\0\0\0\x34"})
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTA = b"<html><head><HTA:APPLICATION ID=x></head>"


def inspect_bytes(
    content: bytes, name: str = "cv.pdf", extensions: Sequence[str] = DEFAULT_EXTENSIONS
) -> InspectionResult:
    with SpooledUpload() as cv:
        cv.write(content)
        return inspect(cv, name=name, extensions=extensions)


def rejection(content: bytes, name: str = "cv.pdf", extensions: Sequence[str] = DEFAULT_EXTENSIONS) -> str:
    with pytest.raises(ValueError, match=r"send a document|that ends in") as raised:
        inspect_bytes(content, name, extensions)
    return str(raised.value)


PROGRAMS = {
    "PE": PE,
    "PE before a PDF": PE + b"%PDF-1.4",
    "ELF": ELF,
    "Mach-O": b"\xcf\xfa\xed\xfe" + bytes(20),
    "Mach-O for several": b"\xca\xfe\xba\xbe\0\0\0\2" + bytes(20),
    "Java class": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(20),
    "DEX": b"dex\n035\0" + bytes(20),
    "WebAssembly": b"\0asm\1\0\0\0",
    "RPM": b"\xed\xab\xee\xdb" + bytes(20),
    "deb": b"!<arch>\ndebian-binary",
    "CHM": b"ITSF\3\0\0\0" + bytes(20),
    "LNK": bytes.fromhex("4c0000000114020000000000c000000000000046") + bytes(60),
    "MSI": INSTALLER,
    "sh": b"#!/bin/sh\nrm -r ~\n",
    "sh after a BOM": b"\xef\xbb\xbf#!/bin/sh\n",
    "bat": b"\r\n@ECHO OFF\r\ndel x",
    "ps1": b"param([string]$x)\r\nGet-Item",
    "vbs": b'Set shell = CreateObject("WScript.Shell")',
    "vbs in UTF-16": 'Set shell = CreateObject("WScript.Shell")'.encode("utf-16"),
    "js": b'var shell = new ActiveXObject("WScript.Shell");',
    "wsf": b'<?xml version="1.0"?>\n<job><script language="JScript">',
    "reg": "Windows Registry Editor Version 5.00".encode("utf-16"),
    "url": b"[InternetShortcut]\r\nURL=file://x",
    "hta": HTA,
    "php": b"<?php system($_GET[0]);",
    "jar": JAR,
    "apk": zipped({"AndroidManifest.xml": b"\3\0", "classes.dex": b"dex\n035\0"}),
    "jar behind a PDF": pdf("") + JAR,
    "zip with a program by its name": zipped({"cv.pdf .exe. ": b"x"}),
    "zip with a program by its content": zipped({"cv.pdf": PE}),
    "stored": zipped({"cv.pdf": ELF}, method=zipfile.ZIP_STORED),
    "Word document with a program": docx({"word/media/image1.png": PE}),
}


@pytest.mark.parametrize("kind", PROGRAMS)
@pytest.mark.parametrize("extensions", [DEFAULT_EXTENSIONS, ()], ids=["default", "any"])
def test_programs_are_rejected_under_any_name(kind: str, extensions: Sequence[str]) -> None:
    assert "send a document" in rejection(PROGRAMS[kind], extensions=extensions)


def end(
    count: int, size: int, offset: int, *, comment: bytes = b"", disk: int = 0, comment_size: int | None = None
) -> bytes:
    """Return the end record of a zip."""
    numbers = disk, 0, count & 0xFFFF, count & 0xFFFF, size & 2**32 - 1, offset & 2**32 - 1
    return (
        struct.pack("<4s4H2LH", b"PK\5\6", *numbers, len(comment) if comment_size is None else comment_size) + comment
    )


def zip64(count: int, size: int, offset: int, *, located_at: int | None = None) -> bytes:
    """Return the ZIP64 records of a zip, which precede the end record."""
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, offset + size if located_at is None else located_at, 1)
    return struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset) + locator


BODY, (COUNT, SIZE, OFFSET) = docx()[:-22], struct.unpack("<HLL", docx()[-12:-2])
ENTRY = bytearray(BODY[OFFSET:])  # two entries; the local header's offset of the first one is at 42
FAR = bytes(BODY[:OFFSET] + ENTRY[:42] + struct.pack("<L", 2**31) + ENTRY[46:])
DEEP = pdf("x" * 2**20)  # on disk, where other offsets fail than in memory
LYING = {
    "too few entries": BODY + end(COUNT - 1, SIZE, OFFSET),
    "too many entries": BODY + end(COUNT + 1, SIZE, OFFSET),
    "65,535 entries": BODY + end(-1, SIZE, OFFSET),
    "a later disk": BODY + end(COUNT, SIZE, OFFSET, disk=1),
    "an offset before the directory": BODY + end(COUNT, SIZE, OFFSET - 1),
    "an offset after the directory": BODY + end(COUNT, SIZE, OFFSET + 1),
    "an offset after the end": BODY + end(COUNT, SIZE, 2**32 - 2),
    "a size beyond the file": BODY + end(COUNT, 2**32 - 2, OFFSET),
    "only ZIP64 values without ZIP64 records": BODY + end(-1, -1, -1),
    "an entry beyond the end": FAR + end(COUNT, SIZE, OFFSET),
    "endless ZIP64 sizes": BODY + zip64(2**64 - 1, 2**64 - 1, 2**64 - 1, located_at=1) + end(-1, -1, -1),
    "an endless ZIP64 offset": BODY + zip64(COUNT, SIZE, 2**63) + end(-1, -1, -1),
    "other numbers in ZIP64 records": BODY + zip64(COUNT, SIZE, OFFSET) + end(1, SIZE, OFFSET),
    "a locator of other ZIP64 records": BODY + zip64(COUNT, SIZE, OFFSET, located_at=0) + end(-1, -1, -1),
    "a locator without a ZIP64 record": BODY + bytes(56) + zip64(COUNT, SIZE, OFFSET)[56:] + end(COUNT, SIZE, OFFSET),
    "a second directory in the comment of a first": BODY
    + end(COUNT, SIZE, OFFSET, comment_size=SIZE + 22)
    + ENTRY
    + end(COUNT, SIZE, OFFSET + SIZE + 22),
    "a directory twice": BODY + ENTRY + end(2 * COUNT, 2 * SIZE, OFFSET),
    "a directory inside a file": zipped({"a": BODY[OFFSET:] * 2}, method=zipfile.ZIP_STORED)[:-22] + end(1, 2**16, 31),
}


@pytest.mark.parametrize("start", [b"", DEEP], ids=["zip", "zip after a PDF"])
@pytest.mark.parametrize("kind", LYING)
def test_lying_zip_records_are_rejected_or_flagged(kind: str, start: bytes) -> None:
    if not start:
        assert "must not be an archive" in rejection(LYING[kind], "cv.docx")
    assert inspect_bytes(start + LYING[kind], "cv.docx", ()).flags in [("archive",), ("unreadable",)]


def test_true_zip64_records_are_accepted() -> None:
    for last in (end(-1, -1, -1), end(COUNT, SIZE, OFFSET, comment=b"PK")):
        assert inspect_bytes(BODY + zip64(COUNT, SIZE, OFFSET) + last, "cv.docx").detected_type == WORD


UNINSPECTABLE = {
    "7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(20),
    "rar": b"Rar!\x1a\7\1\0" + bytes(20),
    "gzip": b"\x1f\x8b\x08\0" + bytes(20),
    "tar": b"cv.pdf".ljust(257, b"\0") + b"ustar\x0000",
    "ISO": bytes(0x8001) + b"CD001",
    "truncated": docx()[:-30],
    "zip in a zip": zipped({"a.zip": zipped({"a.exe": PE})}),
    "zip in a zip under another name": zipped({"cv.pdf": zipped({"a.exe": PE})}),
    "too many entries": zipped({f"{number}": b"" for number in range(zip_inspection.MAX_ENTRIES + 1)}),
}


@pytest.mark.parametrize("kind", UNINSPECTABLE)
def test_uninspectable_archives_are_accepted_only_as_archives(kind: str) -> None:
    content = UNINSPECTABLE[kind]
    assert "must not be an archive" in rejection(content)
    assert "must not be an archive" in rejection(content, "cv.pdf", (*DEFAULT_EXTENSIONS, "zip"))
    assert inspect_bytes(content, "cv.zip", (*DEFAULT_EXTENSIONS, "zip")).flags == ("archive",)
    assert inspect_bytes(content, "cv.pdf", ()).flags == ("archive",)


ACCEPTED = {
    "PDF": (pdf(""), "application/pdf", ()),
    "JavaScript": (pdf("<</S/JavaScript/JS(x)>>"), "application/pdf", ("javascript",)),
    "JavaScript, hidden": (pdf("<</S/J#61vaScr#69pt>>"), "application/pdf", ("javascript",)),
    "JavaScript, compressed": (pdf("", packed="<</S/JavaScript>>"), "application/pdf", ("javascript",)),
    "JavaScript at a chunk boundary": (
        pdf(" " * (2**18 - 17) + "<</S/JavaScript>>"),
        "application/pdf",
        ("javascript",),
    ),
    "open action that shows a page": (pdf("<</OpenAction [3 0 R /Fit]>>"), "application/pdf", ()),
    "open action and launch": (pdf("<</OpenAction 5 0 R/Launch 1>>"), "application/pdf", ("launch", "open-action")),
    "embedded file": (pdf("/Names<</EmbeddedFiles 4 0 R>>"), "application/pdf", ("embedded-file",)),
    "encrypted": (pdf("trailer<</Encrypt 9 0 R>>"), "application/pdf", ("encrypted",)),
    "longer names": (pdf("/Encryption /LaunchPad"), "application/pdf", ()),
    "Word": (docx(), WORD, ()),
    "Word, macros": (docx({"word/vbaProject.bin": ole()}), WORD, ("macros",)),
    "Word, embedded sheet": (docx({"word/embeddings/a.xlsx": docx()}), WORD, ("embedded-file",)),
    "Word, embedded object": (docx({"word/embeddings/oleObject1.bin": ole()}), WORD, ("embedded-file",)),
    "Word, external template": (
        docx({"word/_rels/settings.xml.rels": b'<R Type="x/attachedTemplate" TargetMode="External"/>'}),
        WORD,
        ("external-template",),
    ),
    "Word, compressed picture": (docx({"word/media/image1.emz": b"\x1f\x8b\x08\0"}), WORD, ()),
    "sheet": (
        zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b"", "xl/macrosheets/sheet1.xml": b""}),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ("macros",),
    ),
    "OpenDocument": (odt(), "application/vnd.oasis.opendocument.text", ()),
    "OpenDocument, macros": (
        odt({"Basic/Standard/Module1.xml": b"<x/>", "Scripts/python/a.py": b"import os"}),
        "application/vnd.oasis.opendocument.text",
        ("macros",),
    ),
    "OpenDocument, encrypted": (
        odt({"META-INF/manifest.xml": b"<manifest:encryption-data/>"}),
        "application/vnd.oasis.opendocument.text",
        ("encrypted",),
    ),
    "old Word": (ole("WordDocument"), "application/msword", ()),
    "old Word, macros": (ole("WordDocument", "Macros", "_VBA_PROJECT"), "application/msword", ("macros",)),
    "old Word, embedded object": (ole("WordDocument", "\1Ole10Native"), "application/msword", ("embedded-file",)),
    "new Word, encrypted": (ole("EncryptedPackage"), "application/msword", ("encrypted",)),
    "RTF": (b"{\\rtf1 \\objective Ada}", "application/rtf", ()),
    "RTF, embedded object": (b"{\\rtf1{\\object\\objemb{\\*\\objdata 01}}}", "application/rtf", ("embedded-file",)),
    "HTML": (b"<html><p>I know JavaScript: and more", "text/html", ("javascript",)),
    "HTML, script": ("<html><script>".encode("utf-16"), "text/html", ("javascript",)),
    "text": (b"Ada, who knows <script> and /JavaScript", "text/plain", ()),
    "text that begins with MZ": (b"MZ Lovelace, analyst: " + b"a" * 60, "text/plain", ()),
    "text that begins with PK": (b"PK Lovelace, analyst", "text/plain", ()),
    "text that begins with PowerShell": (b"PowerShell developer\nset of skills", "text/plain", ()),
    "text that begins with a heading": (b"# Param Singh\n## require (x)", "text/plain", ()),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png", ()),
    "zip": (zipped({"cv.txt": b"Ada", "cv.docx": docx()}), "application/zip", ("embedded-file",)),
}


MACROS = b'<Types><Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/></Types>'
SCRIPT = b"%PDF-1.7 <</S/JavaScript/JS(x)>>"
DISGUISED = {  # in ways that a reader's program recognizes
    "PDF after other bytes": ("cv.pdf", b"x\n" * 500 + SCRIPT, ("javascript",)),
    "PDF after more bytes than readers skip": ("cv.txt", b"x\n" * 600 + SCRIPT, ()),
    "HTML by its name": ("cv.html", b"Ada <script>", ("javascript",)),
    "HTML, event handler": ("cv.html", b"<div onpointerdown='x()'>", ("javascript",)),
    "HTML, refresh": ("cv.html", b"<META content='0;url=//x' HTTP-EQUIV = 'Refresh'>", ("remote-content",)),
    "HTML, picture": ("cv.html", b"<img alt='' src='https://x.example/a.png'>", ("remote-content",)),
    "HTML, style sheet": ("cv.html", b"<link rel=stylesheet href=//x.example/a.css>", ("remote-content",)),
    "HTML, style": ("cv.html", b"<p style=\"background: url('http:\\\\x.example/a')\">", ("remote-content",)),
    "HTML, base": ("cv.html", b"<base href='http://x.example'><img src=a.png>", ("remote-content",)),
    "HTML, drawing": (
        "cv.html",
        b"<svg xmlns='http://x'><image xlink:href='http://x.example/a'/>",
        ("remote-content",),
    ),
    "HTML, links": (
        "cv.html",
        b"<meta http-equiv=Content-Type content=text/html><a href=https://x.example>x</a><img src='data:image/png;x'>",
        (),
    ),
    "HTML, pictures beside it": (
        "cv.html",
        b"<img src='cv_files/a.png'><p style='background: url(a)'>refresh, src and // https://x.example",
        (),
    ),
    "HTML, plain text": ("cv.html", b"<p>I carry on = and on", ()),
    "macros under another name": (
        "cv.docx",
        zipped({"[Content_Types].xml": MACROS, "word/document.xml": b"", "word/fonts.bin": ole()}),
        ("macros",),
    ),
    "macros, name in another case": (
        "cv.docx",
        zipped({"[content_types].xml": MACROS, "word/document.xml": b"", "word/vbaProject.bin": ole()}),
        ("macros",),
    ),
    "external template in another file": (
        "cv.docx",
        docx({"word/_rels/a.xml.rels": b"<R TargetMode='External' Type='x/attachedTemplate'/>"}),
        ("external-template",),
    ),
    "external object": (
        "cv.docx",
        docx({"word/_rels/document.xml.rels": b'<R Type="x/oleObject" Target="mhtml:x" TargetMode="External"/>'}),
        ("external-template",),
    ),
    "external hyperlink": (
        "cv.docx",
        docx({"word/_rels/document.xml.rels": b'<R Type="x/hyperlink" TargetMode="External"/><R Type="x/oleObject"/>'}),
        (),
    ),
    "RTF with another beginning": ("cv.doc", b"\n{\\rt\\objdata 01}", ("embedded-file",)),
    "Word XML, macros": ("cv.doc", b"<?xml version='1.0'?><w:wordDocument w:macrosPresent='yes'>", ("macros",)),
    "Word MHTML, macros": ("cv.doc", b"MIME-Version: 1.0\n\nQWN0aXZlTWltZQAA", ("macros",)),
}


@pytest.mark.parametrize("kind", DISGUISED)
def test_disguised_active_content_is_flagged(kind: str) -> None:
    name, content, flags = DISGUISED[kind]
    assert inspect_bytes(content, name).flags == flags


def test_a_stream_suffix_does_not_hide_a_program_name() -> None:
    assert "must not have the file name of a program" in rejection(b"Ada", "cv.exe::$DATA", ())


@pytest.mark.parametrize("kind", ACCEPTED)
def test_media_types_and_flags_of_documents(kind: str) -> None:
    content, media_type, flags = ACCEPTED[kind]
    assert inspect_bytes(content) == InspectionResult(media_type, flags)


@pytest.mark.parametrize("name", ["cv.pdf", "CV.PDF", "cv.tar.docx", "cv.pdf ", "cv.pdf.", ".pdf", "exe.pdf"])
def test_accepted_names(name: str) -> None:
    assert inspect_bytes(b"Ada", name).detected_type == "text/plain"


@pytest.mark.parametrize("name", ["cv", "cv.", "cv.exe", "cv.pdf.exe", "cv.exe.", "cv\u202efdp.exe", "pdf", "cv.pdfx"])
def test_rejected_names(name: str) -> None:
    assert rejection(b"Ada", name) == (
        "must have a file name that ends in"
        " .pdf, .doc, .docx, .odt, .rtf, .txt, .md, .html, .png, .jpg, .jpeg, .tif or .tiff; export it as a PDF"
    )


def test_program_names_are_rejected_without_an_extension_list() -> None:
    for name in ("cv", "cv.xyz", "cv.epub"):
        assert inspect_bytes(b"Ada", name, ()).flags == ()
    for name in ("cv.bat", "cv.JS ", "cv.pdf.lnk"):
        assert "must not have the file name of a program" in rejection(b"Ada", name, ())
    assert inspect_bytes(b"Ada", "cv.js", ("js",)).flags == (), "an extension that is listed explicitly is accepted"


def check_inspection_is_fast(content: bytes) -> None:
    began = time.process_time()
    for extensions in (DEFAULT_EXTENSIONS, ()):
        with suppress(ValueError):
            inspect_bytes(content, extensions=extensions)
    assert time.process_time() - began < LIMIT_S


def directory(count: int, *, name: bytes = b"", size: int = 0, offset: int = 0) -> bytes:
    """Return a zip whose directory claims that all entries are at the same offset, possibly beyond the file."""
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, size, size, len(name), 0) + name
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, size, size, len(name), 0, 0, 0, 0, 0, offset)
    entries = (entry + name) * count
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, len(entries), len(local), 0)
    return local + entries + end


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open("x", "w") as file:
        for _ in range(200):
            file.write(bytes(2**20))
    return buffer.getvalue()


def nested(depth: int) -> bytes:
    content = b"x"
    for level in range(depth):
        content = zipped({f"{level}.docx": content, "[Content_Types].xml": b"", "word/document.xml": b""})
    return content


EXPENSIVE = {
    "100,000 entries": directory(100_000),
    "entries at one offset": directory(1_999, name=b"a", size=2**31),
    "entries beyond the file": directory(1_999, name=b"a", offset=2**31),
    "names that are not UTF-8": directory(5, name=b"\xff\xfe"),
    "a directory that claims to be larger than the file": directory(1)[:-10] + struct.pack("<2IH", 2**31, 0, 0),
    "a zip bomb": bomb(),
    "bzip2": zipped({"x": bytes(2**22)}, method=zipfile.ZIP_BZIP2),
    "LZMA": zipped({"x": bytes(2**22)}, method=zipfile.ZIP_LZMA),
    "nested": nested(50),
    "relations": docx({f"{n}.rels": b"TargetMode='External' " * 3000 for n in range(200)}),
    "tags in relations": docx({f"{n}.rels": b"<TargetMode='External'" * 3000 for n in range(200)}),
    "object streams": b"%PDF-1.5" + b"/ObjStm stream\n" * 300_000,
    "bombs in object streams": b"%PDF-1.5" + (b"/ObjStm stream\n" + zlib.compress(bytes(2**22))) * 500,
    "slashes": b"%PDF-1.5" + b"/" * 2**22,
    "white space": b" " * 2**22,
    "brackets": b"<html>" + b"<" * 2**22,
    "links": b"<html>" + b"<link " * 2**20 + b"<link" + b" " * 2**22,
    "sources": b"<html>" + b" src =" * 2**20,
    "escapes": b"%PDF-1.5" + b"#2F" * 2**20,
    "backslashes": b"{\\rtf1" + b"\\*" * 2**21,
    "an OLE file with invalid offsets": ole()[:48] + b"\xff" * 4,
}


@pytest.mark.parametrize("kind", EXPENSIVE)
def test_inspection_time_is_bounded(kind: str) -> None:
    check_inspection_is_fast(EXPENSIVE[kind])


def test_reads_of_a_zip_directory_are_bounded() -> None:
    sizes = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(len(data := super().read(size)))
            return data

    with pytest.raises(zip_inspection.UninspectableZip):
        zip_inspection.inspect_zip(Watched(EXPENSIVE["100,000 entries"]), len(EXPENSIVE["100,000 entries"]))
    assert max(sizes) <= zip_inspection.MAX_DIRECTORY_BYTES < len(EXPENSIVE["100,000 entries"])


def test_a_compression_bomb_in_a_document_is_not_unpacked() -> None:
    assert inspect_bytes(docx({"word/media/a": bytes(2**24)})).flags == ()


def test_object_streams_are_inspected_up_to_a_total_limit() -> None:
    def streams(count: int) -> bytes:
        packed = zlib.compress(b"/O#70" * 60_000)  # slow to search
        return (
            b"%PDF-1.5" + (b"/ObjStm stream\n" + packed) * count + b"/ObjStm stream\n" + zlib.compress(b"/JavaScript")
        )

    assert inspect_bytes(streams(10)).flags == ("javascript",)
    assert inspect_bytes(streams(20)).flags == ()


STARTS = [
    b"",
    b"PK\3\4",
    b"PK\5\6",
    b"%PDF-1.7 /ObjStm stream\n",
    b"{\\rtf1",
    b"<html>",
    ole(),
    docx(),
    odt(),
    JAR,
    pdf("x"),
]


@given(st.sampled_from(STARTS), st.binary(max_size=300), st.sampled_from([b"", docx(), directory(3)[-90:]]))
@settings(deadline=None, max_examples=150)
def test_any_bytes_are_accepted_or_rejected(start: bytes, middle: bytes, end: bytes) -> None:
    check_inspection_is_fast(start + middle + end)


@given(st.sampled_from([docx(), odt(), zipped({"a": b"x" * 900}), ole("x"), directory(3, name=b"ab")]), st.data())
@settings(deadline=None, max_examples=150)
def test_any_damaged_document_is_accepted_or_rejected(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    check_inspection_is_fast(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.parametrize("sector", [0, 2**16, 2**31, 2**32 - 1])
@pytest.mark.parametrize("shift", [9, 12, 16, 2**16 - 1])
def test_a_damaged_document_on_disk_is_inspected(sector: int, shift: int) -> None:
    head = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    head[30:32], head[48:52] = shift.to_bytes(2, "little"), sector.to_bytes(4, "little")
    assert inspect_bytes(bytes(head) + bytes(2**20), "cv.doc").flags == ()

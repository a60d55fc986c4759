"""What strangers' files are: refused, flagged, or taken."""

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

USUAL = Settings().cv_extensions
LIMIT_S = 5.0  # what takes a tenth of that on an idle machine
PE = b"MZ\x90\0" + bytes(56) + struct.pack("<I", 64) + b"PE\0\0"
ELF = b"\x7fELF\2\1\1" + bytes(20)
JAR = zipped({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0", "Main.class": b"\xca\xfe\xba\xbe\0\0\0\x34"})
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTA = b"<html><head><HTA:APPLICATION ID=x></head>"


def inspected(content: bytes, name: str = "cv.pdf", extensions: Sequence[str] = USUAL) -> InspectionResult:
    with SpooledUpload() as cv:
        cv.write(content)
        return inspect(cv, name=name, extensions=extensions)


def refusal(content: bytes, name: str = "cv.pdf", extensions: Sequence[str] = USUAL) -> str:
    with pytest.raises(ValueError, match=r"send a document|that ends in") as raised:
        inspected(content, name, extensions)
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
@pytest.mark.parametrize("extensions", [USUAL, ()], ids=["usual", "any"])
def test_programs_are_refused_whatever_their_name(kind: str, extensions: Sequence[str]) -> None:
    assert "send a document" in refusal(PROGRAMS[kind], extensions=extensions)


NOT_LOOKED_INTO = {
    "7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(20),
    "rar": b"Rar!\x1a\7\1\0" + bytes(20),
    "gzip": b"\x1f\x8b\x08\0" + bytes(20),
    "tar": b"cv.pdf".ljust(257, b"\0") + b"ustar\x0000",
    "ISO": bytes(0x8001) + b"CD001",
    "cut off": docx()[:-30],
    "zip in a zip": zipped({"a.zip": zipped({"a.exe": PE})}),
    "zip in a zip under another name": zipped({"cv.pdf": zipped({"a.exe": PE})}),
    "too many": zipped({f"{number}": b"" for number in range(zip_inspection.MAX_ENTRIES + 1)}),
}


@pytest.mark.parametrize("kind", NOT_LOOKED_INTO)
def test_archives_that_are_not_looked_into_are_taken_only_as_such(kind: str) -> None:
    content = NOT_LOOKED_INTO[kind]
    assert "must not be an archive" in refusal(content)
    assert "must not be an archive" in refusal(content, "cv.pdf", (*USUAL, "zip"))
    assert inspected(content, "cv.zip", (*USUAL, "zip")).flags == ("archive",)
    assert inspected(content, "cv.pdf", ()).flags == ("archive",)


TAKEN = {
    "PDF": (pdf(""), "application/pdf", ()),
    "JavaScript": (pdf("<</S/JavaScript/JS(x)>>"), "application/pdf", ("javascript",)),
    "JavaScript, hidden": (pdf("<</S/J#61vaScr#69pt>>"), "application/pdf", ("javascript",)),
    "JavaScript, packed": (pdf("", packed="<</S/JavaScript>>"), "application/pdf", ("javascript",)),
    "far behind": (pdf(" " * (2**18 - 17) + "<</S/JavaScript>>"), "application/pdf", ("javascript",)),
    "opens at a page": (pdf("<</OpenAction [3 0 R /Fit]>>"), "application/pdf", ()),
    "opens and acts": (pdf("<</OpenAction 5 0 R/Launch 1>>"), "application/pdf", ("launch", "open-action")),
    "attached": (pdf("/Names<</EmbeddedFiles 4 0 R>>"), "application/pdf", ("embedded-file",)),
    "encrypted": (pdf("trailer<</Encrypt 9 0 R>>"), "application/pdf", ("encrypted",)),
    "a word that only begins so": (pdf("/Encryption /LaunchPad"), "application/pdf", ()),
    "Word": (docx(), WORD, ()),
    "Word, macros": (docx({"word/vbaProject.bin": ole()}), WORD, ("macros",)),
    "Word, a sheet in it": (docx({"word/embeddings/a.xlsx": docx()}), WORD, ("embedded-file",)),
    "Word, an object in it": (docx({"word/embeddings/oleObject1.bin": ole()}), WORD, ("embedded-file",)),
    "Word, its template elsewhere": (
        docx({"word/_rels/settings.xml.rels": b'<R Type="x/attachedTemplate" TargetMode="External"/>'}),
        WORD,
        ("external-template",),
    ),
    "Word, a packed picture": (docx({"word/media/image1.emz": b"\x1f\x8b\x08\0"}), WORD, ()),
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
    "old Word, an object": (ole("WordDocument", "\1Ole10Native"), "application/msword", ("embedded-file",)),
    "new Word, encrypted": (ole("EncryptedPackage"), "application/msword", ("encrypted",)),
    "RTF": (b"{\\rtf1 \\objective Ada}", "application/rtf", ()),
    "RTF, an object": (b"{\\rtf1{\\object\\objemb{\\*\\objdata 01}}}", "application/rtf", ("embedded-file",)),
    "HTML": (b"<html><p>I know JavaScript: and more", "text/html", ("javascript",)),
    "HTML, a script": ("<html><script>".encode("utf-16"), "text/html", ("javascript",)),
    "text": (b"Ada, who knows <script> and /JavaScript", "text/plain", ()),
    "by MZ": (b"MZ Lovelace, analyst: " + b"a" * 60, "text/plain", ()),
    "by PK": (b"PK Lovelace, analyst", "text/plain", ()),
    "by PowerShell": (b"PowerShell developer\nset of skills", "text/plain", ()),
    "by a heading": (b"# Param Singh\n## require (x)", "text/plain", ()),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png", ()),
    "zip": (zipped({"cv.txt": b"Ada", "cv.docx": docx()}), "application/zip", ("embedded-file",)),
}


MACROS = b'<Types><Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/></Types>'
SCRIPT = b"%PDF-1.7 <</S/JavaScript/JS(x)>>"
HIDDEN = {  # in a way that its reader's program sees through
    "behind other bytes": ("cv.pdf", b"x\n" * 500 + SCRIPT, ("javascript",)),
    "behind more than a reader looks at": ("cv.txt", b"x\n" * 600 + SCRIPT, ()),
    "HTML by its name": ("cv.html", b"Ada <script>", ("javascript",)),
    "HTML, a handler": ("cv.html", b"<div onpointerdown='x()'>", ("javascript",)),
    "HTML of text": ("cv.html", b"<p>I carry on = and on", ()),
    "macros by another name": (
        "cv.docx",
        zipped({"[Content_Types].xml": MACROS, "word/document.xml": b"", "word/fonts.bin": ole()}),
        ("macros",),
    ),
    "macros, the case of a name": (
        "cv.docx",
        zipped({"[content_types].xml": MACROS, "word/document.xml": b"", "word/vbaProject.bin": ole()}),
        ("macros",),
    ),
    "a template, other settings": (
        "cv.docx",
        docx({"word/_rels/a.xml.rels": b"<R TargetMode='External' Type='x/attachedTemplate'/>"}),
        ("external-template",),
    ),
    "an object elsewhere": (
        "cv.docx",
        docx({"word/_rels/document.xml.rels": b'<R Type="x/oleObject" Target="mhtml:x" TargetMode="External"/>'}),
        ("external-template",),
    ),
    "a link elsewhere": (
        "cv.docx",
        docx({"word/_rels/document.xml.rels": b'<R Type="x/hyperlink" TargetMode="External"/><R Type="x/oleObject"/>'}),
        (),
    ),
    "RTF that begins otherwise": ("cv.doc", b"\n{\\rt\\objdata 01}", ("embedded-file",)),
    "Word of text, macros": ("cv.doc", b"<?xml version='1.0'?><w:wordDocument w:macrosPresent='yes'>", ("macros",)),
    "Word, a page of the web with macros": ("cv.doc", b"MIME-Version: 1.0\n\nQWN0aXZlTWltZQAA", ("macros",)),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_what_is_hidden_from_a_look_at_the_type_is_flagged(kind: str) -> None:
    name, content, flags = HIDDEN[kind]
    assert inspected(content, name).flags == flags


def test_a_stream_of_a_program_is_the_program() -> None:
    assert "must not have the file name of a program" in refusal(b"Ada", "cv.exe::$DATA", ())


@pytest.mark.parametrize("kind", TAKEN)
def test_documents_are_taken_and_flagged(kind: str) -> None:
    content, media_type, flags = TAKEN[kind]
    assert inspected(content) == InspectionResult(media_type, flags)


@pytest.mark.parametrize("name", ["cv.pdf", "CV.PDF", "cv.tar.docx", "cv.pdf ", "cv.pdf.", ".pdf", "exe.pdf"])
def test_names_that_are_taken(name: str) -> None:
    assert inspected(b"Ada", name).detected_type == "text/plain"


@pytest.mark.parametrize("name", ["cv", "cv.", "cv.exe", "cv.pdf.exe", "cv.exe.", "cv\u202efdp.exe", "pdf", "cv.pdfx"])
def test_names_that_are_not(name: str) -> None:
    assert refusal(b"Ada", name) == (
        "must have a file name that ends in"
        " .pdf, .doc, .docx, .odt, .rtf, .txt, .md, .html, .png, .jpg, .jpeg, .tif or .tiff"
    )


def test_where_any_name_will_do_those_of_programs_will_not() -> None:
    for name in ("cv", "cv.xyz", "cv.epub"):
        assert inspected(b"Ada", name, ()).flags == ()
    for name in ("cv.bat", "cv.JS ", "cv.pdf.lnk"):
        assert "must not have the file name of a program" in refusal(b"Ada", name, ())
    assert inspected(b"Ada", "cv.js", ("js",)).flags == (), "who lists one wants it"


def quick(content: bytes) -> None:
    began = time.process_time()
    for extensions in (USUAL, ()):
        with suppress(ValueError):
            inspected(content, extensions=extensions)
    assert time.process_time() - began < LIMIT_S


def directory(count: int, *, name: bytes = b"", size: int = 0, offset: int = 0) -> bytes:
    """Return a zip of which all entries are said to be in one place, or in none."""
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, size, size, len(name), 0) + name
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, size, size, len(name), 0, 0, 0, 0, 0, offset)
    entries = (entry + name) * count
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, len(entries), len(local), 0)
    return local + entries + end


def bomb() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open("x", "w") as file:
        for _ in range(200):
            file.write(bytes(2**20))
    return made.getvalue()


def nested(depth: int) -> bytes:
    content = b"x"
    for level in range(depth):
        content = zipped({f"{level}.docx": content, "[Content_Types].xml": b"", "word/document.xml": b""})
    return content


HARD = {
    "100,000 entries": directory(100_000),
    "entries in one place": directory(1_999, name=b"a", size=2**31),
    "entries outside": directory(1_999, name=b"a", offset=2**31),
    "names that are no UTF-8": directory(5, name=b"\xff\xfe"),
    "a directory that is said to be larger than the file": directory(1)[:-10] + struct.pack("<2IH", 2**31, 0, 0),
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
    "escapes": b"%PDF-1.5" + b"#2F" * 2**20,
    "backslashes": b"{\\rtf1" + b"\\*" * 2**21,
    "an OLE file that points nowhere": ole()[:48] + b"\xff" * 4,
}


@pytest.mark.parametrize("kind", HARD)
def test_nothing_takes_long(kind: str) -> None:
    quick(HARD[kind])


def test_what_a_zip_says_of_its_size_is_not_read_at_once() -> None:
    read = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(len(data := super().read(size)))
            return data

    with pytest.raises(zip_inspection.UninspectableZip):
        zip_inspection.inspect_zip(Watched(HARD["100,000 entries"]), len(HARD["100,000 entries"]))
    assert max(read) <= zip_inspection.MAX_DIRECTORY_BYTES < len(HARD["100,000 entries"])


def test_a_bomb_in_a_document_is_not_unpacked() -> None:
    assert inspected(docx({"word/media/a": bytes(2**24)})).flags == ()


def test_what_is_packed_in_a_document_is_looked_at_within_bounds_over_all() -> None:
    def streams(count: int) -> bytes:
        packed = zlib.compress(b"/O#70" * 60_000)  # slow to look through
        return (
            b"%PDF-1.5" + (b"/ObjStm stream\n" + packed) * count + b"/ObjStm stream\n" + zlib.compress(b"/JavaScript")
        )

    assert inspected(streams(10)).flags == ("javascript",)
    assert inspected(streams(20)).flags == ()


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
def test_any_bytes_are_taken_or_refused(start: bytes, middle: bytes, end: bytes) -> None:
    quick(start + middle + end)


@given(st.sampled_from([docx(), odt(), zipped({"a": b"x" * 900}), ole("x"), directory(3, name=b"ab")]), st.data())
@settings(deadline=None, max_examples=150)
def test_any_damage_is_taken_or_refused(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    quick(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))

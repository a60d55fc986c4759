"""Files that make parsers slow, recursive or large, generated where they are used."""

import io
import zipfile
import zlib
from collections.abc import Callable

from tests.files import zipped

WORD_NAMESPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {name} "{f"&{previous};" * 10}">' for previous, name in zip("abcdefghi", "bcdefghij", strict=True)
)


def pdf_of(*objects: bytes) -> bytes:
    """Return a PDF of numbered objects; the first one is the catalog."""
    file, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table
    file += b"trailer\n<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(file)


def _page(contents: bytes, resources: bytes = b"") -> bytes:
    return (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents " + contents + b"/Resources<<" + resources + b">>>>"
    )


def _stream(data: bytes, extra: bytes = b"") -> bytes:
    return b"<<" + extra + b"/Length %d>>\nstream\n" % len(data) + data + b"\nendstream"


_CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
_ONE_PAGE = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
_FONT = b"/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"


def flate_bomb(layers: int = 1, size: int = 2**30) -> bytes:
    """Return a PDF whose page unpacks to `size` bytes, through one or more filters."""
    packer = zlib.compressobj(9)
    head, chunk = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH), packer.compress(b"(x)Tj " * 2**18)
    chunk += packer.flush(zlib.Z_FULL_FLUSH)  # after it, the same bytes can be repeated
    data = head + chunk * (size // (6 * 2**18)) + packer.flush()
    for _ in range(layers - 1):
        data = zlib.compress(data, 9)
    filters = b"/Filter[" + b"/FlateDecode" * layers + b"]"
    return pdf_of(_CATALOG, _ONE_PAGE, _page(b"4 0 R", _FONT), _stream(data, filters))


def recursive_xobjects(fan: int = 1) -> bytes:
    """Return a PDF with a form that draws itself `fan` times, or with forms that each draw the next one many times."""
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>>>>"
    draw = b"/X Do " * fan
    if fan == 1:
        forms = [_stream(draw, form % 5)]
    else:
        forms = [_stream(draw, form % number) for number in range(6, 30)] + [_stream(b"")]
    return pdf_of(_CATALOG, _ONE_PAGE, _page(b"4 0 R", b"/XObject<</X 5 0 R>>"), _stream(b"/X Do"), *forms)


def many_pages(count: int = 100_000) -> bytes:
    """Return a PDF with this many pages."""
    kids = b"".join(b"%d 0 R " % number for number in range(4, 4 + count))
    pages = b"<</Type/Pages/Count %d/Kids[" % count + kids + b"]>>"
    page = _page(b"3 0 R", _FONT)
    return pdf_of(_CATALOG, pages, _stream(b"BT /F 9 Tf 9 9 Td (page)Tj ET"), *[page] * count)


def deep_pages(depth: int = 50_000) -> bytes:
    """Return a PDF whose page tree is as deep as this."""
    nodes = [b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % (number + 1) for number in range(2, 2 + depth)]
    return pdf_of(_CATALOG, *nodes, _page(b"null"))


def deep_arrays(depth: int = 1_000_000) -> bytes:
    """Return a PDF with nested arrays."""
    return pdf_of(_CATALOG, _ONE_PAGE, b"<</Type/Page/X" + b"[" * depth + b"]" * depth + b">>")


def zip_bomb(name: str, head: str, size: int = 2**28) -> bytes:
    """Return an office file with a part that begins with `head` and unpacks to `size` bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(name, "w") as part:
            part.write(head.encode())
            for _ in range(size // 2**20):
                part.write(b"a" * 2**20)
    return buffer.getvalue()


def docx_bomb() -> bytes:
    """Return a DOCX file with 256 MiB of text."""
    return zip_bomb("word/document.xml", f'<w:document xmlns:w="{WORD_NAMESPACE}"><w:p><w:r><w:t>')


def docx_bomb_of_attributes() -> bytes:
    """Return a DOCX file with an attribute of 256 MiB, which expat would store."""
    return zip_bomb("word/document.xml", f'<w:document xmlns:w="{WORD_NAMESPACE}" x="')


def docx_of_many_elements() -> bytes:
    """Return a DOCX file that consists of nested elements without text."""
    head = f'<w:document xmlns:w="{WORD_NAMESPACE}">'.encode()
    return zipped({"word/document.xml": head + b"<w:p>" * 2_000_000})


def laughing_docx() -> bytes:
    """Return a DOCX file with entities that expand to gigabytes."""
    body = f'{_LAUGHS}]><w:document xmlns:w="{WORD_NAMESPACE}"><w:p><w:r><w:t>&j;</w:t></w:r></w:p></w:document>'
    return zipped({"word/document.xml": body.encode()})


def laughing_odt() -> bytes:
    """Return an ODT file with entities that expand to gigabytes."""
    body = f'{_LAUGHS}]><o:body xmlns:o="urn:o" xmlns:t="urn:t"><t:p>&j;</t:p></o:body>'
    return zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": body.encode()})


def odt_of_spaces() -> bytes:
    """Return an ODT file with elements that each stand for a billion spaces."""
    body = '<o:body xmlns:o="urn:o" xmlns:t="urn:t"><t:p>' + '<t:s t:c="999999999"/>' * 1000 + "x</t:p></o:body>"
    return zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": body.encode()})


def nested_rtf(depth: int = 100_000) -> bytes:
    """Return an RTF document with groups nested this deeply."""
    return b"{\\rtf1 " + b"{" * depth + b"deep" + b"}" * depth + b"}"


def endless_rtf() -> bytes:
    """Return an RTF document of control words only."""
    return b"{\\rtf1 " + b"\\b0" * 2**21


def nested_html() -> bytes:
    """Return an HTML page with elements nested a million times."""
    return b"<div>" * 1_000_000 + b"deep"


def unfinished_html() -> bytes:
    """Return an HTML page of tags that never end, over which a parser can go again and again."""
    return b"<html>" + b"<a href='" * 300_000


def unfinished_markup(start: str) -> bytes:
    """Return an HTML page of 10 MB with the beginning of a construct again and again, and never its end."""
    return b"<html>" + start.encode() * (10_000_000 // len(start))


PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ODT = "application/vnd.oasis.opendocument.text"
FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "flate bomb": (PDF, flate_bomb),
    "flate bomb of two layers": (PDF, lambda: flate_bomb(layers=2)),
    "recursive XObject": (PDF, recursive_xobjects),
    "XObjects that multiply": (PDF, lambda: recursive_xobjects(fan=10)),
    "100,000 pages": (PDF, many_pages),
    "deep page tree": (PDF, deep_pages),
    "deep arrays": (PDF, deep_arrays),
    "DOCX bomb": (DOCX, docx_bomb),
    "DOCX bomb of attributes": (DOCX, docx_bomb_of_attributes),
    "DOCX of elements": (DOCX, docx_of_many_elements),
    "billion laughs in DOCX": (DOCX, laughing_docx),
    "billion laughs in ODT": (ODT, laughing_odt),
    "ODT of spaces": (ODT, odt_of_spaces),
    "nested RTF": ("application/rtf", nested_rtf),
    "RTF of control words": ("application/rtf", endless_rtf),
    "nested HTML": ("text/html", nested_html),
    "unfinished HTML": ("text/html", unfinished_html),
    "unfinished comments": ("text/html", lambda: unfinished_markup("<!--")),
    "unfinished comments with tags": ("text/html", lambda: unfinished_markup("<!--<b>")),
    "unfinished end tags": ("text/html", lambda: unfinished_markup("</")),
    "unfinished CDATA sections": ("text/html", lambda: unfinished_markup("<![CDATA[")),
    "unfinished sections": ("text/html", lambda: unfinished_markup("<![if x>")),
    "unfinished instructions": ("text/html", lambda: unfinished_markup("<?")),
    "combining marks": ("text/plain", ("a" + "\u0315\u0300" * 500_000).encode),
    "marks of class 0": ("text/plain", ("a" + "\u0f73\u0f71" * 500_000).encode),  # they decompose into others
    "random bytes as PDF": (PDF, lambda: b"%PDF-1.7\n" + bytes(range(256)) * 4000),
}

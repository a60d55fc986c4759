"""Text of real files from several producers, and of small files of each format."""

import re
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.cv_text import markup
from intake.cv_text.draft import MAX_TEXT_BYTES, Draft, ExtractionFailed, Text, normalize
from intake.cv_text.extraction import extract
from intake.cv_text.runner import Extraction
from intake.cv_text.runner import extract as extract_in_child
from intake.cvs.inspection import inspect
from intake.cvs.spool import SpooledUpload
from tests.files import docx, odt
from tests.intake.cv_text.hostile import DOCX, ODT, PDF, WORD_NAMESPACE, pdf_of

FILES = Path(__file__).parent / "files"
LATIN = "Zoë Müller: Curriculum Vitæ, H-1B visa"
LINES = (LATIN, "Мария Иванова, инженер-программист", "Ελένη Παπαδοπούλου, δικηγόρος", "王小明，软件工程师")
ARABIC, HEBREW = {"محمد", "الأحمد", "مهندس", "برمجيات"}, {"דוד", "כהן", "מהנדס", "תוכנה"}
# words that PDFium returns differently: reversed, or with the letters of a ligature swapped
DEVIATIONS = {
    "chromium.pdf": {"دمحم": "محمد", "دمحألا": "الأحمد"},
    "libreoffice.pdf": {"األحمد": "الأحمد"},
}


def extracted(name: str) -> Extraction:
    """Extract the text of a sample file as the service does."""
    with SpooledUpload() as upload, tempfile.TemporaryFile() as file:
        upload.write((FILES / name).read_bytes())
        upload.file.seek(0)
        media_type = inspect(upload, name=name, extensions=()).detected_type
        file.write((FILES / name).read_bytes())
        file.flush()
        return extract_in_child(file, media_type)


@pytest.mark.parametrize(
    "name",
    [
        *("libreoffice.docx", "libreoffice.odt", "libreoffice.pdf", "libreoffice.rtf", "chromium.pdf", "reportlab.pdf"),
        *("python-docx.docx", "odfpy.odt", "page.html"),
    ],
)
def test_real_files_in_several_scripts(name: str) -> None:
    found = extracted(name)
    assert found.state == "done"
    assert found.text is not None
    lines = found.text.split("\n")
    assert [line for line in lines if line in LINES] == list(LINES)
    words = {DEVIATIONS.get(name, {}).get(word, word) for word in re.findall(r"\w+", found.text)}
    assert name == "reportlab.pdf" or words >= ARABIC | HEBREW
    if name.endswith(".pdf"):
        assert found.text[found.pages[1] :] == "Second page"
    else:
        assert found.pages == []


def test_headers_and_footers_surround_the_body() -> None:
    for name in ("python-docx.docx", "odfpy.odt"):
        lines = (extracted(name).text or "").split("\n")
        assert (lines[0], lines[-1]) == ("The header", "The footer")
        assert "a tab\there" in lines
    assert "three   spaces" in lines


def test_a_word_97_document_is_not_supported() -> None:
    found = extracted("libreoffice.doc")
    assert (found.state, found.reason) == ("failed", "unsupported")


BOX = "<w:r><w:t>box</w:t></w:r>"


def word(body: str) -> bytes:
    names = f'xmlns:w="{WORD_NAMESPACE}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    return docx({"word/document.xml": f"<w:document {names}><w:body>{body}</w:body></w:document>".encode()})


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<w:p><w:r><w:t>one</w:t></w:r></w:p><w:p><w:r><w:t>two</w:t></w:r></w:p>", "one\ntwo"),
        ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>", "a\tb\nc"),
        ('<w:p><w:pPr><w:tabs><w:tab w:pos="9"/></w:tabs></w:pPr><w:r><w:t>a</w:t></w:r></w:p>', "a"),
        ("<w:p><w:r><w:t>H</w:t><w:noBreakHyphen/><w:t>1B</w:t></w:r></w:p>", "H-1B"),
        ("<w:p><w:r><w:delText>gone</w:delText><w:instrText>PAGE</w:instrText><w:t>kept</w:t></w:r></w:p>", "kept"),
        (
            f"<w:p><mc:AlternateContent><mc:Choice>{BOX}</mc:Choice><mc:Fallback>{BOX}</mc:Fallback></mc:AlternateContent></w:p>",
            "box",
        ),
    ],
)
def test_elements_of_word(body: str, text: str) -> None:
    assert extract(word(body), DOCX).text == text


def test_the_main_part_of_a_word_document_may_have_another_name() -> None:
    relations = b'<Relationships><Relationship Type="x/officeDocument" Target="/word/document2.xml"/></Relationships>'
    part = f'<w:document xmlns:w="{WORD_NAMESPACE}"><w:p><w:r><w:t>here</w:t></w:r></w:p></w:document>'
    assert extract(docx({"_rels/.rels": relations, "word/document2.xml": part.encode()}), DOCX).text == "here"


def test_elements_of_odt() -> None:
    body = (
        '<o:body xmlns:o="urn:o" xmlns:t="urn:t">\n<t:tracked-changes><t:p>gone</t:p></t:tracked-changes>'
        "<t:h>Head</t:h>\n<t:p>one\n  two<t:line-break/>three<t:s t:c='3'/>four<t:s/>five</t:p></o:body>"
    )
    assert extract(odt({"content.xml": body.encode()}), ODT).text == "Head\none two\nthree   four five"


@pytest.mark.parametrize(
    ("data", "media_type", "reason"),
    [
        (b"%PDF-1.7 x", PDF, "damaged"),
        (b"PK\x03\x04", DOCX, "damaged"),
        (docx({"word/document.xml": b"<unclosed>"}), DOCX, "damaged"),
        (odt({"META-INF/manifest.xml": b"<x><encryption-data/></x>"}), ODT, "encrypted"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "application/msword",
            "encrypted",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword", "unsupported"),
        (b"\0\1\2", "application/octet-stream", "unsupported"),
        (b"PK\x03\x04", "application/zip", "unsupported"),
        (
            pdf_of(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>").replace(
                b"trailer\n<<",
                b"trailer\n<</Encrypt<</Filter/Standard/V 1/R 2/O("
                + b"o" * 32
                + b")/U("
                + b"u" * 32
                + b")/P -4>>/ID[(a)(a)]",
            ),
            PDF,
            "encrypted",
        ),
    ],
)
def test_files_without_extractable_text(data: bytes, media_type: str, reason: str) -> None:
    with pytest.raises(ExtractionFailed) as raised:
        extract(data, media_type)
    assert raised.value.reason == reason


def test_images_have_no_text() -> None:
    assert extract(b"\x89PNG", "image/png") == Text("")


@pytest.mark.parametrize(
    ("data", "text", "guessed"),
    [
        ("Zoë 漢".encode(), "Zoë 漢", False),
        ("Zoë 漢".encode("utf-8-sig"), "Zoë 漢", False),
        ("Zoë 漢".encode("utf-16"), "Zoë 漢", False),
        (b"\xfe\xff" + "Zoë".encode("utf-16-be"), "Zoë", False),
        ("Zoë 漢".encode("utf-32"), "Zoë 漢", False),
        ("Zoë – ‘x’".encode("cp1252"), "Zoë – ‘x’", True),
        (b"a\r\nb\rc\fd  \ne\n\n\n\nf", "a\nb\nc\nd\ne\n\nf", False),
    ],
)
def test_plain_texts(data: bytes, text: str, guessed: bool) -> None:
    found = extract(data, "text/plain")
    assert (found.text, found.guessed) == (text, guessed)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<p>a  b\n c<b>d</b><p>e<br>f&amp;&eacute;", "a b cd\ne\nf&é"),
        (b"<title>t</title><style>s</style><script>x</script><div>b</div>", "t\n\nb"),
        (b"<table><tr><td>a<td>b<tr><td>c</table>", "\ta\tb\n\tc"),
        (b"<pre>a\n  b</pre>", "a\n  b"),
        (b"<meta charset=windows-1251><p>\xcf\xf0\xe8", "При"),
        (b"<meta charset=no-such><p>\xe9", "é"),
        (b"<script>never ends <p>gone", ""),
        (b"<p>a<!-- never ends <p>b &amp; c", "a<!-- never ends b & c"),
        (b"<p>a <b href='c <p>d", "a <b href='c d"),
        (b"<p>a<![endif]><![if !x]>b<![CDATA[c]]>d<![x y]>e", "abde"),
        (b"<p>a&am", "a&am"),
    ],
)
def test_html(data: bytes, text: str) -> None:
    assert extract(data, "text/html").text.strip("\n") == text


def test_a_long_text_is_cut_between_characters() -> None:
    found = extract(("é" * MAX_TEXT_BYTES).encode(), "text/plain")
    assert (len(found.text.encode()), found.truncated) == (MAX_TEXT_BYTES, True)
    assert not extract(b"a" * MAX_TEXT_BYTES, "text/plain").truncated


def test_a_long_source_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "MAX_SOURCE_BYTES", 5)
    assert extract("abcdé".encode(), "text/plain").text == "abcd", "not a guess"


@given(st.lists(st.text(), max_size=5))
def test_pages_start_at_their_offsets(pages: list[str]) -> None:
    draft = Draft()
    for number, page in enumerate(pages):
        if number:
            draft.end_page()
        draft.write(page)
    found = draft.finish(has_pages=True, truncated=False)
    expected = [normalize(page) for page in pages]
    if not any(expected):
        assert found == Text("")
        return
    assert unicodedata.is_normalized("NFC", found.text)
    assert [
        found.text[start : start + len(page)] for start, page in zip(found.pages, expected, strict=True)
    ] == expected
    Extraction.model_validate({"state": "done", **vars(found)})


def test_runs_of_marks_are_cut() -> None:
    marks = "\u0316" * 30
    assert normalize(f"a{marks}e\u0301") == f"a{marks}\u00e9"
    assert normalize(f"a{marks}\u0f73\u0301\u0316.{marks}.") == f"a{marks}.{marks}."


@pytest.mark.parametrize("charset", ["gb18030", "big5", "shift_jis", "koi8-r", "iso-8859-5", "windows-1251"])
def test_charsets_are_known_in_the_sandbox(charset: str) -> None:
    word = "При" if charset[0] in "kiw" else "文字"
    with tempfile.TemporaryFile() as file:
        file.write(f"<meta charset={charset}><p>{word}".encode(charset))
        file.flush()
        found = extract_in_child(file, "text/html")
    assert (found.text, found.guessed) == (word, False)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf\r\n"])
def test_a_code_page_of_rtf_is_known_in_the_sandbox(start: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(start + b"{\\rtf1\\ansi\\ansicpg1253 \\'c5\\'eb\\u233? {\\b bold}\\par {\\pict 00ff}end}")
        file.flush()
        assert extract_in_child(file, "application/rtf").text == "Ελé bold\nend"

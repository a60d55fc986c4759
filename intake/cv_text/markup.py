"""Text of HTML, RTF and plain text files."""

import codecs
import re
from html import unescape
from html.parser import HTMLParser

from striprtf.striprtf import rtf_to_text

from intake.cv_text.draft import Draft, ExtractionFailed

MAX_SOURCE_BYTES = 2**24  # of the file; the rest is not read
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\v\f\r\x1b")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_TAG = re.compile("<[^<>]*>")
_SKIPPED = frozenset(("script", "style", "template", "noscript", "svg"))
_INLINE = frozenset(
    "a abbr b bdi bdo big cite code del dfn em font i img ins kbd label mark q s small span strong sub sup u".split()  # noqa: SIM905 - a list is a column
)


def write_plain(draft: Draft, data: bytes) -> None:
    """Write a plain text. Raises ExtractionFailed if the file is not one, or DraftFull."""
    draft.write(_decoded(draft, data[:MAX_SOURCE_BYTES], None))


def write_html(draft: Draft, data: bytes) -> None:
    """Write the text of an HTML page. Raises DraftFull."""
    declared = _META_CHARSET.search(data[:2048])
    _Html(draft).read(_decoded(draft, data[:MAX_SOURCE_BYTES], declared[1].decode("ascii") if declared else None))


def write_rtf(draft: Draft, data: bytes) -> None:
    """Write the text of an RTF document. Raises ExtractionFailed or DraftFull."""
    source = data.removeprefix(codecs.BOM_UTF8)[:MAX_SOURCE_BYTES].decode("cp1252", "replace")
    try:
        text: str = rtf_to_text(source, errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, LookupError, IndexError) as error:
        raise ExtractionFailed("damaged") from error
    draft.write(text)


def _decoded(draft: Draft, data: bytes, declared: str | None) -> str:
    """Return the text by its BOM, its declared charset, as UTF-8, or as cp1252, which is a guess."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(encoding, "replace")
    if data[: 2**16].translate(None, _CONTROLS) != data[: 2**16]:
        raise ExtractionFailed("unsupported")
    for encoding in filter(None, (declared, "utf-8")):
        try:
            # the last character may be cut
            return codecs.getincrementaldecoder(encoding)().decode(data, final=len(data) < MAX_SOURCE_BYTES)
        except (UnicodeError, LookupError):
            continue
    draft.guessed = True
    return data.decode("cp1252", "replace")


class _Html(HTMLParser):
    """Writes the visible text of a page; blocks start new lines."""

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft, self._skipped, self._is_preformatted = draft, 0, 0

    def read(self, page: str) -> None:
        """Parse a whole page, in time that is linear in its length."""
        self.feed(page)
        if self.rawdata.startswith("<"):
            # markup that never ends: `close` would search its end from each further "<" again
            self.handle_data(unescape(_TAG.sub(" ", self.rawdata)))
        else:
            self.close()

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Parse `<![…>` as browsers do; the library searches an end that may not exist, or raises AssertionError."""
        return self.parse_bogus_comment(i, report)

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self._skipped += tag in _SKIPPED
        self._is_preformatted += tag == "pre"
        self._break(tag)

    def handle_startendtag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self._skipped = max(0, self._skipped - (tag in _SKIPPED))
        self._is_preformatted = max(0, self._is_preformatted - (tag == "pre"))
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._draft.write(data if self._is_preformatted else re.sub(r"[ \t\r\n\f]+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._draft.write("\t")
        elif tag not in _INLINE and not self._skipped:
            self._draft.write("\n")

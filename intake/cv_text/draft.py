"""Text under extraction: collected up to a limit, then normalized."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

MAX_TEXT_BYTES = 2**20  # of UTF-8
MAX_PAGES = 10_000
_BREAK = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# control characters, surrogates, noncharacters, and hints for layout: soft hyphens, zero-width spaces and BOMs
_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u200b\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# runs of marks have none of these; real texts have far fewer marks in a run (the limit of UAX #15)
_MAX_MARKS = 30
_NO_WORD = re.compile(rf"[^\w\s]{{{_MAX_MARKS + 1},}}")
_PAGE_BREAK = "\n\n"
_BLANK_LINES = re.compile("\n{3,}")


class DraftFull(Exception):
    """The text has reached its maximum size."""


class ExtractionFailed(Exception):
    """The file has no extractable text; `reason` is `encrypted`, `damaged` or `unsupported`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Text:
    """Normalized text, and the offsets in code points at which its pages start (empty: no pages are known)."""

    text: str
    pages: list[int] = field(default_factory=list)
    truncated: bool = False
    guessed: bool = False


class Draft:
    """The raw text of a document, with its pages."""

    def __init__(self) -> None:
        self._pages: list[list[str]] = [[]]
        self._left = MAX_TEXT_BYTES
        self.guessed = False

    def write(self, text: str) -> None:
        """Append text. Raises DraftFull."""
        if text:
            self._pages[-1].append(text[: self._left])
            self._left -= len(text)
        if self._left < 0:
            raise DraftFull

    def end_page(self) -> None:
        """Start the next page. Raises DraftFull."""
        if len(self._pages) >= MAX_PAGES:
            raise DraftFull
        self._pages.append([])

    def finish(self, *, has_pages: bool, truncated: bool) -> Text:
        """Return the normalized text."""
        pages = [normalize("".join(page)) for page in self._pages]
        whole = _PAGE_BREAK.join(pages)
        text = whole.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
        if not text.strip():
            return Text("")
        starts = accumulate((len(page) + len(_PAGE_BREAK) for page in pages[:-1]), initial=0)
        kept = [start for start in starts if start <= len(text)] if has_pages else []
        return Text(text, kept, truncated or len(text) < len(whole), self.guessed)


def normalize(text: str) -> str:
    """Return the text in NFC, without control characters except newline and tab, or blanks at the end of lines."""
    clean = _REMOVED.sub("", _BREAK.sub("\n", text))
    lines = "\n".join(line.rstrip() for line in clean.split("\n"))
    clean = _BLANK_LINES.sub("\n\n", lines).strip("\n")
    return cut_marks(unicodedata.normalize("NFC", cut_marks(clean)))  # again, since some marks become two


def cut_marks(text: str) -> str:
    """Return the text with at most _MAX_MARKS combining marks in a row: normalizing more takes quadratic time."""
    return _NO_WORD.sub(lambda found: "".join(_without_long_runs(found[0])), text)


def _without_long_runs(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        if marks <= _MAX_MARKS:
            yield character

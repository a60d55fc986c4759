"""Words of texts and queries, equal on both databases.

NFKD, without marks except in scripts that need them, casefolded. A word is a run of letters, digits, `_` and those
marks. Han, kana and Thai have no spaces between words, so the 8 characters from each position are a token. A short name
of letters and digits around a hyphen, such as H-1B, is also a token without the hyphen, and only that in a query.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain

VERSION = 2  # of these rules; leads with another version are indexed again
MAX_CHARACTERS = 64  # of a token; longer words are cut
UNSPACED_CHARACTERS = 8
MAX_TOKENS, MAX_BYTES = 20_000, 2**18  # of one lead

# the marks of Latin, Greek, Cyrillic, Hebrew, Arabic and Syriac, and those for any script
_REMOVED = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u0898-\u089f\u08ca-\u08e1\u08e3-\u08ff"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u2de0-\u2dff\ua66f-\ua672\ua674-\ua67d\ua69e\ua69f\ufb1e\ufe00-\ufe0f"
    "\ufe20-\ufe2f\U000e0100-\U000e01ef"
)
# letters, digits and marks only
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59\u3005\u3007\u3021-\u3029\u3031-\u3035\u303b\u303c\u3041-\u3096\u3099\u309a"
    "\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f"
    "\U00020000-\U0003ffff"
)
_removed = re.compile(f"[{_REMOVED}]+")
_unspaced = re.compile(f"[{_UNSPACED}]")
_pieces = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_MARKS = "".join(
    character
    for character in map(chr, range(0x300, 0x20000))
    if unicodedata.category(character)[0] == "M" and not _removed.match(character)
)
_WORD = rf"\w{_MARKS}"
_run = re.compile(rf"[{_WORD}]+")
_HYPHENS = "-\u2010\u2013"
_joint = re.compile(f"[{_HYPHENS}][0-9]|[0-9][{_HYPHENS}]")
_before_joint = re.compile("[a-z]{1,3}(?=[0-9])"), re.compile("[a-z]{1,3}[0-9]{1,2}(?=[a-z])")
_short_name = re.compile(
    rf"(?:(?<![{_WORD}])|(?<=[{_UNSPACED}]))([a-z]{{1,3}}(?:(?=.[0-9])|[0-9]{{1,2}}(?=.[a-z])))[{_HYPHENS}]([{_WORD}]+)"
)
# letters with strokes and ligatures, which NFKD does not take apart
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe"}
)
_ascii_run = re.compile(r"\w+", re.ASCII)


def normalize(text: str) -> str:
    """Return the text in the form in which words are compared; its lines stay lines."""
    if text.isascii():
        return text.lower()
    return _removed.sub("", unicodedata.normalize("NFKD", text)).casefold().translate(_LETTERS)


def tokenize(text: str) -> Iterator[str]:
    """Yield the tokens of a text, with repetitions."""
    normalized = normalize(text)
    names = _short_name.finditer(normalized) if _joint.search(normalized) else ()  # fifteen times as slow
    is_spaced = normalized.isascii()  # a submission's names and address mostly are
    for run in chain(runs(normalized), *(runs(found[1] + found[2]) for found in names)):
        if not is_spaced and is_unspaced(run):
            yield from (run[start : start + UNSPACED_CHARACTERS] for start in range(len(run)))
        else:
            yield run[:MAX_CHARACTERS]


def query_tokens(text: str) -> list[str]:
    """Return the different tokens of a query, each of which must begin a token of the lead."""
    found: dict[str, None] = {}
    for run in runs(_short_name.sub(r"\1\2", normalize(text))):
        size = UNSPACED_CHARACTERS if is_unspaced(run) else MAX_CHARACTERS
        last = max(len(run) - size, 0) if is_unspaced(run) else 0
        found |= dict.fromkeys(run[start : start + size] for start in (*range(0, last, size), last))
    return list(found)


def lead_tokens(texts: Iterable[str]) -> tuple[list[str], bool]:
    """Return the different tokens of a lead's texts, and whether some were left out because of the limits."""
    found: dict[str, None] = {}
    left = MAX_BYTES
    for text in texts:
        for token in tokenize(text):
            if token not in found:
                left -= len(token.encode()) + 1
                if left < 0 or len(found) == MAX_TOKENS:
                    return list(found), True
                found[token] = None
    return list(found), False


def runs(normalized: str) -> Iterator[str]:
    """Yield the words of a normalized text, and the runs of scripts without spaces."""
    if normalized.isascii():
        yield from _ascii_run.findall(normalized)
    elif not _unspaced.search(normalized):
        yield from _run.findall(normalized)
    else:
        for run in _run.findall(normalized):
            yield from _pieces.findall(run)


def is_unspaced(run: str) -> bool:
    """Return whether the run, which is not empty, is in a script without spaces."""
    return _unspaced.match(run) is not None


def starts(normalized: str, token: str) -> Iterator[int]:
    """Yield where a token begins a word, or is in a run without spaces, of a normalized text."""
    pattern = f"(?={token})" if is_unspaced(token) else "|".join(map(_begins, _spellings(token)))
    return (found.start() for found in re.finditer(pattern, normalized))


def _spellings(token: str) -> Iterator[str]:
    """Yield the token and, if it can be a short name, also with each hyphen in it."""
    yield token
    for found in filter(None, (part.match(token) for part in _before_joint)):
        yield from (f"{found[0]}{hyphen}{token[found.end() :]}" for hyphen in _HYPHENS)


def _begins(literal: str) -> str:
    """Return the regular expression of a literal that begins a word.

    The literal is first, as regular expressions find such a prefix fast, and a file may have it a million times.
    """
    literal = re.escape(literal)
    return f"{literal}(?:(?<![{_WORD}]{literal})|(?<=[{_UNSPACED}]{literal}))"


def word_end(normalized: str, start: int) -> int:
    """Return the end of the word, or of the short name with a hyphen, that begins at `start`."""
    start = found.start(2) if (found := _short_name.match(normalized, start)) else start
    if (found := _run.match(normalized, start)) is None:
        return start
    piece = _pieces.match(normalized, start, found.end())
    return piece.end() if piece else found.end()

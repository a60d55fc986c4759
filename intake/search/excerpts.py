"""Excerpts: where a text has the words of a query."""

import re
from collections.abc import Sequence, Set
from typing import NamedTuple

from intake.search.tokenizer import is_unspaced, normalize, starts, word_end

MAX_LINES = 3  # of one text
MAX_LINE_CHARACTERS = 2_000  # longer lines are split, so that an excerpt costs little
BEFORE, AFTER = 60, 120  # characters around the first word
_space = re.compile(r"\s+")
_long_line = re.compile(rf"[^\n]{{1,{MAX_LINE_CHARACTERS}}}(?=\s|\Z)|[^\n]{{1,{MAX_LINE_CHARACTERS}}}")


class Excerpt(NamedTuple):
    """A part of a text, its offset in the text, and the words in it as ranges of its characters."""

    text: str
    offset: int
    highlights: list[tuple[int, int]]


def found_words(text: str, tokens: Sequence[str]) -> tuple[list[tuple[int, int]], Set[str]]:
    """Return the words of a short text that begin with a token, as ranges without overlaps, and the tokens found."""
    normalized, origins = _with_origins(text)
    spans: list[tuple[int, int]] = []
    found = set()
    for token in tokens:
        for start in starts(normalized, token):
            end = start + len(token) if is_unspaced(token) else word_end(normalized, start)
            spans.append((origins[start], origins[end - 1] + 1))
            found.add(token)
    return _merged(spans), found


def excerpts(text: str, tokens: Sequence[str]) -> list[Excerpt]:
    """Return up to MAX_LINES lines, in their order, that have the most tokens; longer tokens are preferred."""
    lines = [(found.start(), found[0]) for found in _long_line.finditer(text)]
    normalized = normalize("\n".join(line for _, line in lines))
    found: dict[int, Excerpt] = {}
    missing = sorted(tokens, key=len, reverse=True)
    while missing and len(found) < MAX_LINES:
        token = missing.pop(0)
        if (start := next(starts(normalized, token), None)) is not None:
            offset, line = lines[normalized.count("\n", 0, start)]
            (first, *_), _ = found_words(line, [token])
            excerpt, shown = _around(offset, line, first, tokens)
            found.setdefault(excerpt.offset, excerpt)
            missing = [one for one in missing if one not in shown]
    return [found[offset] for offset in sorted(found)]


def _with_origins(text: str) -> tuple[str, Sequence[int]]:
    """Return the normalized text, and for each of its characters the index of the original one."""
    if text.isascii():
        return text.lower(), range(len(text))
    # the whole text has the same characters as its parts, but sorts marks that follow each other
    return normalize(text), [index for index, character in enumerate(text) for _ in normalize(character)]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _around(offset: int, line: str, word: tuple[int, int], tokens: Sequence[str]) -> tuple[Excerpt, Set[str]]:
    """Return the part of a line around a word, cut at spaces, and the tokens that are found in it."""
    # near the end of the line, more before the word
    start, end = max(min(word[0] - BEFORE, len(line) - BEFORE - AFTER), 0), min(word[1] + AFTER, len(line))
    if start and (space := _space.search(line, start, word[0])):
        start = space.end()
    if end < len(line) and (spaces := list(_space.finditer(line, word[1], end))):
        end = spaces[-1].start()
    part = line[start:end]
    start += len(part) - len(part.lstrip())
    spans, found = found_words(part.strip(), tokens)
    return Excerpt(part.strip(), offset + start, spans), found

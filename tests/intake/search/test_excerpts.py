"""Excerpts: every text has some, at a cost that its sender does not choose."""

import sys
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intake.search.excerpts import excerpts, found_words
from intake.search.tokenizer import normalize, query_tokens, tokenize

MARKS = st.sampled_from("\u0929\u1cd4\u093c\u0301\u0316\u3099\uff9e\u0f73\u0f71\u05bf\u0e38")
TEXTS = st.text(st.one_of(st.characters(), MARKS, st.sampled_from("a1-\u0928\u304b\u1100 \n")), max_size=60)


@given(TEXTS)
@example("zz \u0929\u1cd4 yy")  # its normalized marks have another order
def test_every_word_of_a_text_is_found_in_it(text: str) -> None:
    for token in set(tokenize(text)):
        spans, found = found_words(text, [token])
        assert found == {token}
        assert all(0 <= start < end <= len(text) for start, end in spans)


@given(TEXTS)
@example("zz \u0929\u1cd4 yy")
def test_every_word_of_a_text_has_an_excerpt(text: str) -> None:
    for token in set(tokenize(text)):
        assert any(excerpt.text in text and excerpt.highlights for excerpt in excerpts(text, [token]))


@pytest.mark.parametrize(
    ("text", "token", "words"),
    [
        ("visa xvisa, (visas) visa", "visa", ["visa", "visas", "visa"]),
        ("\u4e2dvisa \u00e9visa _visa", "visa", ["visa"]),
        ("\u4e2d\u4e2d\u4e2d a\u4e2d\u4e2d", "\u4e2d\u4e2d", ["\u4e2d\u4e2d\u4e2d", "\u4e2d\u4e2d"]),
        ("\u0929\u1cd4\u0928", "\u0929\u1cd4", ["\u0929\u1cd4\u0928"]),
        ("L-1B, h 1b, xh-1b, H-1B1; h1b H1-B \u4e2dH\u20111B\u4e2d", "h-1b", ["H-1B1", "h1b", "H1-B", "H\u20111B"]),
    ],
)
def test_a_token_begins_a_word(text: str, token: str, words: list[str]) -> None:
    spans, _ = found_words(text, query_tokens(normalize(token)))
    assert [text[start:end] for start, end in spans] == words


def test_a_line_that_fits_is_whole() -> None:
    line = "Currently in the United States on H-1B, expiring 2026-02-15. Seeking advice on asylum."
    assert [one.text for one in excerpts(line, ["asylum"])] == [line]
    [quoted] = excerpts(f"{'x ' * 80}{line}", ["asylum"])
    assert quoted.text.endswith(f"x {line}")


@pytest.mark.parametrize("text", ["x" + "visa" * 262_000, "xvisa " * 170_000, "\u00e9 xvisa " * 110_000])
def test_words_that_only_contain_the_token_cost_little(text: str) -> None:
    excerpts("visa", ["visa"])  # compiles the regular expression
    calls = Counter[str]()
    sys.setprofile(lambda _frame, kind, _argument: calls.update([kind]))
    try:
        found = excerpts(text + " visa", ["visa"])
    finally:
        sys.setprofile(None)
    assert found
    assert calls["call"] < 1000, "a regular expression finds the word, and Python's code visits no other"

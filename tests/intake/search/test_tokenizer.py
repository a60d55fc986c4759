"""Words of texts and queries."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.search import tokenizer
from intake.search.tokenizer import lead_tokens, normalize, query_tokens, tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Ethan NGUYEN", ["ethan", "nguyen"]),
        ("García, H-1B", ["garcia", "h", "1b", "h1b"]),
        ("O\u20111A EB\u20132 H1-B", ["o", "1a", "eb", "2", "h1", "b", "o1a", "eb2", "h1b"]),
        ("持H-1B签", ["持", "h", "1b", "签", "h1b", "签"]),
        ("2019-20 co-op form-7 -1 xH-1B_", ["2019", "20", "co", "op", "form", "7", "1", "xh", "1b_", "xh1b_"]),
        ("Nguyễn Łódź STRAẞE Ｅthan ﬁne ½", ["nguyen", "lodz", "strasse", "ethan", "fine", "1", "2"]),
        ("Đặng Sørensen Yılmaz Æsa Ðóra", ["dang", "sorensen", "yilmaz", "aesa", "dora"]),
        ("ada.lovelace+cv@example.com", ["ada", "lovelace", "cv", "example", "com"]),
        ("snake_case __init__", ["snake_case", "__init__"]),
        ("Андрей Ёлкин", ["андреи", "елкин"]),
        ("Ἀθῆναι Άγιος", ["αθηναι", "αγιοσ"]),
        ("שָׁלוֹם", ["שלום"]),
        ("مُحَمَّد", ["محمد"]),
        ("हिन्दी தமிழ்", ["हिन्दी", "தமிழ்"]),
        ("한국어", [unicodedata.normalize("NFKD", "한국어")]),
        ("中文", ["中文", "文"]),
        ("C语言2", ["c", "语言", "言", "2"]),
        ("a" * 70, ["a" * 64]),
        (" -.\n\t🦄", []),
    ],
)
def test_texts_are_split_into_words(text: str, tokens: list[str]) -> None:
    assert list(tokenize(text)) == tokens


def test_each_eight_characters_of_a_script_without_spaces_are_a_token() -> None:
    assert list(tokenize("在北京大学学习中文")) == [
        *("在北京大学学习中", "北京大学学习中文", "京大学学习中文", "大学学习中文", "学学习中文", "学习中文", "习中文"),
        *("中文", "文"),
    ]
    assert query_tokens("在北京大学学习中文") == ["在北京大学学习中", "北京大学学习中文"]
    assert query_tokens("สวัสดี") == ["สวัสดี"]


def test_queries_repeat_no_word() -> None:
    assert query_tokens("Ada ada ADÁ b") == ["ada", "b"]


def test_a_short_name_with_a_hyphen_is_one_word_of_a_query() -> None:
    assert query_tokens("h-1b H1-B h1b O\u20111A garcia-lopez") == ["h1b", "o1a", "garcia", "lopez"]


@pytest.mark.parametrize("character", ["a", "é", "中", "हि"])
def test_a_lead_has_a_limited_number_and_size_of_words(monkeypatch: pytest.MonkeyPatch, character: str) -> None:
    assert lead_tokens(["Ada", f"{character} ada"]) == (["ada", *tokenize(character)], False)
    monkeypatch.setattr(tokenizer, "MAX_TOKENS", 2)
    assert lead_tokens(["Ada", "b", character * 9, "c"])[1]
    assert len(lead_tokens(["Ada", "b", character * 9])[0]) == 2
    monkeypatch.setattr(tokenizer, "MAX_TOKENS", 20_000)
    monkeypatch.setattr(tokenizer, "MAX_BYTES", 7)
    assert lead_tokens(["Ada", "bc", "d"]) == (["ada", "bc"], True)


def test_normalization_is_stable_for_every_character() -> None:
    changed = []
    for number in range(sys.maxunicode + 1):
        if not 0xD800 <= number < 0xE000:
            once = normalize(f"a{chr(number)}b")
            changed += [number] * (normalize(once) != once or ("\n" in once) != (number == 10))
    assert changed == []


def is_kept_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" and normalize(character) != ""


@given(st.text(max_size=40))
def test_tokens_have_only_letters_digits_underscores_and_marks(text: str) -> None:
    for token in tokenize(text):
        assert 1 <= len(token) <= 64
        assert all(c == "_" or c.isalnum() or is_kept_mark(c) for c in token)


@given(
    st.one_of(
        st.text(st.characters(categories=["L", "M", "N", "P", "Z"]), max_size=40), st.text("ah1-中 ", max_size=9)
    ),
    st.data(),
)
def test_a_part_of_a_text_that_begins_a_word_is_found(text: str, data: st.DataObject) -> None:
    tokens = list(tokenize(text))
    end = data.draw(st.integers(0, len(text)))
    for wanted in query_tokens(text[:end]):
        assert any(token.startswith(wanted) for token in tokens)

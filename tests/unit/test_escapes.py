"""What is shown of texts that a terminal would obey."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadctl.escapes import json_text, visible

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = set("\u200c\u200d")
hostile = st.text(
    st.characters() | st.sampled_from("\x1b\x07\x9b\x85\t\r\n\u202e\u2066\u200b\u200d\ufeff\U000e0041[;m")
)


@given(hostile)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = visible(text)
    assert not {c for c in shown if unicodedata.category(c) in OBEYED} - JOINERS
    assert len(shown.splitlines()) <= 1


@given(hostile)
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    kept = "".join(c for c in text if unicodedata.category(c) not in OBEYED or c in JOINERS)
    assert visible(kept) == kept
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\tb\r\n", "a\\tb\\r\\n"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("[bold]", "[bold]"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        (None, ""),
        (7, "7"),
    ],
)
def test_escapes(text: object, shown: str) -> None:
    assert visible(text) == shown


@given(st.dictionaries(hostile, hostile))
def test_json_carries_a_text_exactly_and_shows_no_terminal_what_it_obeys(members: dict[str, str]) -> None:
    text = json_text(members)
    assert json.loads(text) == members
    assert not {c for c in text if unicodedata.category(c) in OBEYED} - JOINERS
    assert len(text.splitlines()) == 1


def test_json_leaves_letters_as_they_are() -> None:
    assert json_text({"name": "山田 می\u200cخواهم"}) == '{"name": "山田 می\u200cخواهم"}'

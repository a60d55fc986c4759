"""Escapes of control and invisible characters."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadctl.output.escapes import escape_control, escape_json

CONTROL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
INVISIBLE = set(
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u200b\u2060\u2065\u2800\u3164\uffa0\ufff0"
)
INVISIBLE |= {*"\U00016fe4\U0001d159\U0001bca0\U0001d173\U000e0001\U000e0041\U000e0100\U000e01ef\U000e0fff"}
INVISIBLE |= {chr(code) for code in range(0xFE00, 0xFE0E)}
CONTEXTUAL = set("\u200c\u200d\ufe0e\ufe0f")  # visibility depends on the character before
hostile = st.text(
    st.characters()
    | st.sampled_from("\x1b\x07\x9b\x85\t\r\n\u202e\u2066\u200b\u200d\ufeff\U000e0041[;m")
    | st.sampled_from(sorted(INVISIBLE | CONTEXTUAL))
)


def is_harmless(character: str) -> bool:
    return unicodedata.category(character) not in CONTROL and character not in INVISIBLE | CONTEXTUAL


@given(hostile)
def test_no_control_character_is_left(text: str) -> None:
    shown = escape_control(text)
    assert not {c for c in shown if unicodedata.category(c) in CONTROL} - CONTEXTUAL
    assert not INVISIBLE & set(shown)
    assert len(shown.splitlines()) <= 1


@given(hostile)
def test_harmless_text_is_unchanged(text: str) -> None:
    harmless = "".join(filter(is_harmless, text))
    harmless = re.sub("[\U00016fe0-\U00016fff\U000e0000-\U000e0fff\u2065\ufff0-\ufff8]", "", harmless)
    assert escape_control(harmless) == harmless
    assert escape_control(escape_control(text)) == escape_control(text)


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
        ("क्\u200dष", "क्\u200dष"),
        ("👩🏽\u200d💻 ❤\ufe0f\u200d🔥", "👩🏽\u200d💻 ❤\ufe0f\u200d🔥"),
        ("ad\u200dmin\ufe0f", "ad\\u200dmin\\ufe0f"),
        ("\u200dx", "\\u200dx"),
        ("\u3164\u200d\u2800", "\\u3164\\u200d\\u2800"),
        ("葛\U000e0100", "葛\\U000e0100"),
        ("山田\u3000太郎", "山田\u3000太郎"),
        (None, ""),
        (7, "7"),
    ],
)
def test_escapes(text: object, shown: str) -> None:
    assert escape_control(text) == shown


@given(st.dictionaries(hostile, hostile))
def test_json_is_exact_and_contains_no_control_character(members: dict[str, str]) -> None:
    text = escape_json(members)
    assert json.loads(text) == members
    assert not {c for c in text if unicodedata.category(c) in CONTROL} - CONTEXTUAL
    assert not INVISIBLE & set(text)
    assert len(text.splitlines()) == 1


def test_json_does_not_escape_letters() -> None:
    assert escape_json({"name": "山田 می\u200cخواهم"}) == '{"name": "山田 می\u200cخواهم"}'

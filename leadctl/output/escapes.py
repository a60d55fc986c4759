"""Escapes for control characters, invisible characters and spreadsheet formulas."""

import json
import re
import unicodedata
from collections.abc import Callable

_CONTROL_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Unicode's Default_Ignorable_Code_Point outside the categories above, and characters that look blank
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)
_JOINERS = "\u200c\u200d"
_JOINED = ("Lo", "Mn", "Mc", "So", "Sk")  # letters without case (such as Persian), their marks, and parts of emoji
_EMOJI_STYLES = "\ufe0e\ufe0f"
_STYLED = ("So", "Sm")
# the start of a cell, also for `;`, `|` and tab as delimiters, before a character that begins a formula, which may be
# full-width or follow quotes and blanks that spreadsheets drop
_FORMULA_STARTS = re.compile(r"""(^|[;|\t])(?=[\s"]*[=+\-@＝＋－＠])""")  # noqa: RUF001


def escape_control(value: object) -> str:
    """Return the value as one line of text, with control and invisible characters escaped; "" for None."""
    text = "" if value is None else str(value)
    return text if _is_plain(text) else _escaped(text, lambda c: c.encode("unicode_escape").decode("ascii"))


def escape_json(value: object) -> str:
    """Return the value as exact JSON on one line, with control and invisible characters as JSON escapes."""
    text = json.dumps(value, ensure_ascii=False)
    return text if _is_plain(text) else _escaped(text, lambda c: json.dumps(c)[1:-1])


def safe_cell(value: object) -> str:
    """Return the value as a spreadsheet cell; an apostrophe disarms a formula, whatever the delimiter."""
    return (
        escape_control(value) if isinstance(value, int | float) else _FORMULA_STARTS.sub(r"\1'", escape_control(value))
    )


def is_hidden(character: str, before: str = "") -> bool:
    """Return whether the character is a control or invisible one in its place after `before`.

    Joiners in Persian names and emoji, and the style selectors of emoji, are legitimate after certain characters.
    """
    if character in _JOINERS:
        return not _is_in_category(before, _JOINED)
    if character in _EMOJI_STYLES:
        return not _is_in_category(before, _STYLED)
    return unicodedata.category(character) in _CONTROL_CATEGORIES or _INVISIBLE.match(character) is not None


def _is_plain(text: str) -> bool:
    return text.isprintable() and (text.isascii() or not _INVISIBLE.search(text))


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    escaped, before = [], ""
    for character in text:
        escaped.append(escape(character) if is_hidden(character, before) else character)
        before = escaped[-1][-1]
    return "".join(escaped)


def _is_in_category(character: str, categories: tuple[str, ...]) -> bool:
    return character > "\x7f" and unicodedata.category(character) in categories

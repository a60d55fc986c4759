"""Escapes for what a terminal or a spreadsheet would obey, or nobody would see."""

import json
import re
import unicodedata
from collections.abc import Callable

_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Unicode's Default_Ignorable_Code_Point beside those of the categories above, and what is drawn as a blank
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)
_JOINERS = "\u200c\u200d"
_JOINED = ("Lo", "Mn", "Mc", "So", "Sk")  # letters without case, such as Persian ones, their marks, and emoji's parts
_EMOJI_STYLES = "\ufe0e\ufe0f"
_STYLED = ("So", "Sm")
# where a cell begins, or one would if a spreadsheet took `;`, `|` or a tab for the delimiter, and what a formula begins
# with, full-width or after quotes and blanks that are dropped
_FORMULA_STARTS = re.compile(r"""(^|[;|\t])(?=[\s"]*[=+\-@＝＋－＠])""")  # noqa: RUF001


def escape_control(value: object) -> str:
    """Return the value's text on one line (None: nothing), with what is obeyed or not seen written as an escape."""
    text = "" if value is None else str(value)
    return text if _is_plain(text) else _escaped(text, lambda c: c.encode("unicode_escape").decode("ascii"))


def escape_json(value: object) -> str:
    """Return the value as JSON on one line, exact, with JSON's own escapes for what is obeyed or not seen."""
    text = json.dumps(value, ensure_ascii=False)
    return text if _is_plain(text) else _escaped(text, lambda c: json.dumps(c)[1:-1])


def safe_cell(value: object) -> str:
    """Return the value as a cell that no spreadsheet takes for a formula, whatever it takes for the delimiter.

    An apostrophe before what would be a formula makes it a text.
    """
    return (
        escape_control(value) if isinstance(value, int | float) else _FORMULA_STARTS.sub(r"\1'", escape_control(value))
    )


def is_hidden(character: str, before: str = "") -> bool:
    """Return whether a terminal would obey the character, or nobody would see it, after the one `before` it.

    Some are needed by those before them: Persian names and emoji have joiners, and a symbol's style makes it an emoji.
    """
    if character in _JOINERS:
        return not _is_of(before, _JOINED)
    if character in _EMOJI_STYLES:
        return not _is_of(before, _STYLED)
    return unicodedata.category(character) in _OBEYED or _UNSEEN.match(character) is not None


def _is_plain(text: str) -> bool:
    return text.isprintable() and (text.isascii() or not _UNSEEN.search(text))


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    made, before = [], ""
    for character in text:
        made.append(escape(character) if is_hidden(character, before) else character)
        before = made[-1][-1]
    return "".join(made)


def _is_of(character: str, categories: tuple[str, ...]) -> bool:
    return character > "\x7f" and unicodedata.category(character) in categories

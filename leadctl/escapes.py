"""What a terminal would obey, or nobody would see, written so that it is seen and not obeyed."""

import json
import unicodedata

_JOINERS = "\u200c\u200d"  # Persian names and emoji need them
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def visible(value: object) -> str:
    """Return the value's text on one line (None: nothing), with what a terminal would obey written as an escape."""
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(map(_visible, text))


def json_text(value: object) -> str:
    """Return the value as JSON on one line, exact, with JSON's own escapes for what a terminal would obey."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else "".join(json.dumps(c)[1:-1] if _is_hidden(c) else c for c in text)


def _visible(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii") if _is_hidden(character) else character


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS

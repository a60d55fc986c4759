"""Values of form fields: rules that several fields share, and the rules of each type."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import StrEnum

from intake.errors import InvalidValue

MAX_TEXT_CHARACTERS = 200
MAX_LONG_TEXT_CHARACTERS = 5000
MAX_PHONE_CHARACTERS = 50
MIN_PHONE_DIGITS, MAX_PHONE_DIGITS = 4, 20
TICKED = "yes"  # as stored
TICKS: Mapping[str, bool] = {"on": True, "true": True, TICKED: True, "off": False, "false": False, "no": False}
UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Zs", "Mn", "Me")  # categories of characters that are not visible alone
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that are not visible


class FieldType(StrEnum):
    """Type of a field that the firm defines."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    SELECT = "select"
    CHECKBOX = "checkbox"
    PHONE = "phone"
    DATE = "date"


def parse_value(kind: FieldType, text: str, *, options: Sequence[str] = ()) -> str | None:
    """Return the value to store, or None if nothing was entered. Raises InvalidValue."""
    if is_blank(text):
        return None
    return options_value(text.strip(), options) if kind is FieldType.SELECT else _PARSERS[kind](text.strip())


def is_blank(text: str) -> bool:
    """Return whether a text has no visible character."""
    return all(unicodedata.category(character) in UNSEEN or character in BLANKS for character in text)


def required(text: str) -> str:
    """Return the text without spaces around it. Raises InvalidValue if it is blank."""
    if is_blank(text):
        raise InvalidValue("is required", "required")
    return text.strip()


def limited(text: str, most: int, subject: str = "") -> str:
    """Return the text. Raises InvalidValue if it has more than `most` characters."""
    if len(text) > most:
        raise InvalidValue(f"{subject}must have at most {most} characters", "too_long", max=most, unit="characters")
    return text


def without_controls(text: str, subject: str = "", *, allowed: str = "") -> str:
    """Return the text. Raises InvalidValue if it has control characters other than those allowed."""
    if any(unicodedata.category(character) == "Cc" and character not in allowed for character in text):
        raise InvalidValue(f"{subject}must not contain control characters", "control_characters")
    return text


def options_value(text: str, options: Sequence[str]) -> str:
    """Return the text. Raises InvalidValue unless it is one of the options."""
    if text not in options:
        raise InvalidValue(f"must be one of: {', '.join(options)}", "not_one_of", choices=list(options))
    return text


def is_ticked(text: str) -> bool:
    """Return whether a checkbox is ticked. Raises InvalidValue."""
    value = text.strip().lower()
    return bool(value) and TICKS[options_value(value, list(TICKS))]


def _long_text(text: str) -> str:
    lines = re.sub("\r\n?", "\n", text)  # forms send CR LF
    return without_controls(limited(lines, MAX_LONG_TEXT_CHARACTERS), allowed="\n\t")


def _phone(text: str) -> str:
    digits = sum(character.isdecimal() for character in without_controls(limited(text, MAX_PHONE_CHARACTERS)))
    if not MIN_PHONE_DIGITS <= digits <= MAX_PHONE_DIGITS:
        detail = f"must be a telephone number with {MIN_PHONE_DIGITS} to {MAX_PHONE_DIGITS} digits"
        raise InvalidValue(detail, "not_a_phone", min=MIN_PHONE_DIGITS, max=MAX_PHONE_DIGITS)
    return text


def _date(text: str) -> str:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise InvalidValue("must be a date such as 2026-11-29", "not_a_date")


# JSON schemas of the values of types without a list of choices, with an example
SCHEMAS: Mapping[FieldType, Mapping[str, object]] = {
    FieldType.TEXT: {"maxLength": MAX_TEXT_CHARACTERS, "examples": ["A text"]},
    FieldType.LONG_TEXT: {"maxLength": MAX_LONG_TEXT_CHARACTERS, "examples": ["A text"]},
    FieldType.PHONE: {"maxLength": MAX_PHONE_CHARACTERS, "examples": ["+44 20 7946 0000"]},
    FieldType.DATE: {"format": "date", "examples": ["2026-11-29"]},
}
_PARSERS: Mapping[FieldType, Callable[[str], str | None]] = {
    FieldType.TEXT: lambda text: without_controls(limited(text, MAX_TEXT_CHARACTERS)),
    FieldType.LONG_TEXT: _long_text,
    FieldType.CHECKBOX: lambda text: TICKED if is_ticked(text) else None,
    FieldType.PHONE: _phone,
    FieldType.DATE: _date,
}

"""Values of fields that the firm defines."""

import pytest

from intake.errors import InvalidValue
from intake.form.definition import FormField
from intake.form.values import FieldType, parse_value

OPTIONS = ("family", "tax")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (FieldType.TEXT, "  a name ", "a name"),
        (FieldType.TEXT, " \u200b", None),
        (FieldType.TEXT, "x" * 200, "x" * 200),
        (FieldType.LONG_TEXT, "a\r\nb\tc\rd", "a\nb\tc\nd"),
        (FieldType.LONG_TEXT, "\r\n" * 2500 + "x" * 2, "xx"),
        (FieldType.LONG_TEXT, "x\r\n" * 2499 + "xx", "x\n" * 2499 + "xx"),
        (FieldType.SELECT, "tax", "tax"),
        (FieldType.SELECT, "", None),
        (FieldType.CHECKBOX, "on", "yes"),
        (FieldType.CHECKBOX, "TRUE", "yes"),
        (FieldType.CHECKBOX, "false", None),
        (FieldType.PHONE, "+44 20 7946-0000 (evenings)", "+44 20 7946-0000 (evenings)"),
        (FieldType.PHONE, "٠٢٠ ٧٩٤٦", "٠٢٠ ٧٩٤٦"),
        (FieldType.DATE, "2026-02-28", "2026-02-28"),
    ],
)
def test_values(kind: FieldType, text: str, value: str | None) -> None:
    assert parse_value(kind, text, options=OPTIONS) == value


@pytest.mark.parametrize(
    ("kind", "text", "code", "params"),
    [
        (FieldType.TEXT, "x" * 201, "too_long", {"max": 200, "unit": "characters"}),
        (FieldType.TEXT, "a\nb", "control_characters", {}),
        (FieldType.LONG_TEXT, "x" * 5001, "too_long", {"max": 5000, "unit": "characters"}),
        (FieldType.LONG_TEXT, "a\0", "control_characters", {}),
        (FieldType.SELECT, "Tax", "not_one_of", {"choices": ["family", "tax"]}),
        (FieldType.CHECKBOX, "maybe", "not_one_of", {"choices": ["on", "true", "yes", "off", "false", "no"]}),
        (FieldType.PHONE, "123", "not_a_phone", {"min": 4, "max": 20}),
        (FieldType.PHONE, "1" * 21, "not_a_phone", {"min": 4, "max": 20}),
        (FieldType.PHONE, "1 " * 26, "too_long", {"max": 50, "unit": "characters"}),
        (FieldType.DATE, "2026-02-30", "not_a_date", {}),
        (FieldType.DATE, "20260228", "not_a_date", {}),
        (FieldType.DATE, "28.02.2026", "not_a_date", {}),
        (FieldType.DATE, "0000-01-01", "not_a_date", {}),
        (FieldType.DATE, "٢٠٢٦-٠٢-٢٨", "not_a_date", {}),
    ],
)
def test_invalid_values(kind: FieldType, text: str, code: str, params: dict[str, object]) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_value(kind, text, options=OPTIONS)
    assert (refused.value.code, refused.value.params) == (code, params)


def test_a_required_field() -> None:
    field = FormField(key="k", type=FieldType.CHECKBOX, label={"en": "K"}, required=True)
    assert field.parse("on") == "yes"
    for text in ("", "off"):
        with pytest.raises(InvalidValue, match="is required"):
            field.parse(text)

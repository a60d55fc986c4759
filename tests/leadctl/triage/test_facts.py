"""Facts about a lead: the firm's own fields before the text."""

import pytest

from leadctl.triage.facts import FIELD_MARK, Facts
from leadctl.triage.pages import Pages, Place
from tests.leadctl.test_hostile import CV

LEAD = {"id": 1, "created_at": "x", **dict.fromkeys(("email", "f_name", "l_name", "CV_name", "state"), "x")}
LEAD |= {f"CV_{name}": value for name, value in {**CV, "flags": ""}.items()}


@pytest.mark.parametrize("width", [54, 58, 80, 200])
@pytest.mark.parametrize(
    "value",
    [
        "visa\nconflict_check: no",
        "visa\n\nExperience\n2019 Acme",
        "visa" + " " * 300 + "conflict_check: no",
        "word " * 9 + "conflict_check: no " * 9,
        "x" * 300,
        "山" * 200,
        "\n",
    ],
)
def test_no_value_of_a_field_looks_like_another_field_or_the_text(value: str, width: int) -> None:
    facts = Facts(LEAD | {"fields.matter": value, "fields.conflict_check": "yes"}, [])
    rows = [row for _, row in Pages(facts.fields_text + "the text").below(Place(), width)]
    first, *more, last, empty, text = [row.rstrip() for row in rows]
    assert first.startswith("matter:")
    assert all(row.startswith(FIELD_MARK.rstrip()) for row in more)
    assert (last, empty, text) == ("conflict_check: yes", "", "the text")


def test_without_fields_only_the_text_is_shown() -> None:
    assert Facts(LEAD, []).fields_text == ""

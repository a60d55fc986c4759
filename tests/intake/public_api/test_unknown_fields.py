"""Unknown fields of public forms: ignored, counted and logged."""

import re

import pytest

from intake.database.schema import lead
from tests.conftest import Intake


def counted(intake: Intake) -> float:
    [value] = re.findall(r"^intake_unknown_form_fields_total (\S+)$", intake.client.get("/metrics").text, re.MULTILINE)
    return float(value)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return re.findall(r"the form field '(.*)' is unknown, and is not stored$", caplog.text, re.MULTILINE)


def test_unknown_fields_are_counted_and_each_name_is_logged_once(
    intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    assert intake.submit(phone="+44 20 7946 0000", message="a secret").status_code == 204
    assert intake.submit(phone="1", f_name="").status_code == 422, "counted, whether or not the form is accepted"
    assert counted(intake) == 3
    assert logged(caplog) == ["phone", "message"]
    assert "secret" not in caplog.text
    assert intake.count(lead) == 1


def test_a_form_without_unknown_fields_is_not_counted(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    intake.submit()
    intake.client.post("/internal/leads/", files={"phone": (None, b"1")}, headers=intake.bearer(intake.user()))
    assert (counted(intake), logged(caplog)) == (0, [])


def test_at_most_20_names_are_logged_in_one_process(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    for start in (0, 10, 20):
        assert intake.submit(**{f"unknown{start + number}": "x" for number in range(10)}).status_code == 204
    assert counted(intake) == 30
    assert logged(caplog) == [f"unknown{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("größe", r"gr\xf6\xdfe"),
        ("a\u202eb\u2028\x1b[31m", r"a\u202eb\u2028\x1b[31m"),
        ("x" * 33, "x" * 32),
        ("\U0001f600" * 40, r"\U0001f600" * 32),
        ("", ""),
    ],
)
def test_a_logged_name_is_escaped_and_at_most_32_characters(
    intake: Intake, caplog: pytest.LogCaptureFixture, name: str, shown: str
) -> None:
    assert intake.submit(**{name: "x"}).status_code == 204
    assert logged(caplog) == [shown]

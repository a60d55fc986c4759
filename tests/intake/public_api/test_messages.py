"""Texts of HTML responses."""

import pytest

from intake.errors import FIELD_ERROR_CODES
from intake.form.definition import LANGUAGES
from intake.http.problems import PROBLEM_TYPES
from intake.public_api.languages import language
from intake.public_api.messages import describe_fault, explain

ENGLISH = language("en")


def text_of(status: int, *, retry_after: str | None = None, max_bytes: int = 10 * 2**20) -> str:
    problem = {"status": status, "title": "T", "detail": "the detail"}
    return explain(ENGLISH, problem, retry_after=retry_after, max_bytes=max_bytes).text


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("1", "in 1 second."),
        ("0", "in 1 second."),
        ("59", "in 59 seconds."),
        ("61", "in 2 minutes."),
        ("3600", "in 1 hour."),
        ("172800", "in 2 days."),
        (None, "in a little while."),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "in a little while."),
        ("-1", "in a little while."),
        ("²", "in a little while."),
    ],
)
def test_waiting_time(header: str | None, expected: str) -> None:
    assert expected in text_of(429, retry_after=header)


@pytest.mark.parametrize(
    ("size", "expected"), [(10 * 2**20, "10 MB"), (2**20 - 1, "1023 KB"), (1023, "1023 bytes"), (1536 * 2**10, "1 MB")]
)
def test_maximum_size_of_a_cv(size: int, expected: str) -> None:
    assert f"may have up to {expected}." in text_of(413, max_bytes=size)


@pytest.mark.parametrize("status", sorted({kind.status for kind in PROBLEM_TYPES.values()} | {408, 429, 500}))
def test_every_problem_has_a_text(status: int) -> None:
    assert text_of(status)
    assert "{" not in text_of(status)


def fault(field: str, code: str, **params: object) -> dict[str, object]:
    return {"field": field, "detail": "…", "code": code, "params": params}


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_error_in_a_field_has_a_text_in_every_language(code: str) -> None:
    values = {"max": 3, "min": 1, "unit": "characters", "expected": "text", "extensions": ["pdf"], "suggestion": None}
    for error, params in FIELD_ERROR_CODES.items():
        for field in ("email", "CV"):
            text = describe_fault(language(code), fault(field, error, **{name: values.get(name) for name in params}))
            assert text.strip()
            assert "%" not in text


def test_a_text_depends_on_the_code_and_the_field() -> None:
    assert describe_fault(ENGLISH, fault("f_name", "too_long", max=200, unit="characters")) == (
        "Use at most 200 characters."
    )
    assert "name of this file" in describe_fault(ENGLISH, fault("CV", "too_long", max=255, unit="characters"))
    assert describe_fault(ENGLISH, fault("CV", "not_accepted", extensions=["pdf", "txt"])).endswith("in .pdf, .txt.")
    arabic = describe_fault(language("ar"), fault("CV", "not_accepted", extensions=["pdf", "txt"]))
    assert "\u2068.pdf, .txt\u2069" in arabic  # the dots would be on the other side
    assert describe_fault(ENGLISH, fault("email", "not_an_email", suggestion="a@b.example")).endswith(" a@b.example")
    assert describe_fault(ENGLISH, fault("terms", "required"), "checkbox") == "Tick this box."


@pytest.mark.parametrize("status", [408, 409, 429, 503])
def test_pages_that_a_reload_may_resolve_say_that_it_sends_the_form(status: int) -> None:
    assert "Reloading this page also sends the form again." in text_of(status)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_other_pages_do_not_suggest_a_reload(status: int) -> None:
    assert "eload" not in text_of(status)

"""Texts of HTML responses."""

import pytest

from intake.http.problems import PROBLEM_TYPES
from intake.public_api.messages import explain


def text_of(status: int, *, retry_after: str | None = None, max_bytes: int = 10 * 2**20) -> str:
    problem = {"status": status, "title": "T", "detail": "the detail"}
    return explain(problem, retry_after=retry_after, max_bytes=max_bytes).text


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


def test_fields_have_labels_and_unknown_ones_no_name() -> None:
    faults = [{"field": name, "detail": "is required"} for name in ("email", "f_name", "l_name", "CV", "photo")]
    found = explain({"status": 422, "detail": "…", "errors": faults}, retry_after=None, max_bytes=1).faults
    assert [label for label, _ in found] == ["Email address", "First name", "Last name", "CV", "Another field"]
    assert {detail for _, detail in found} == {"Is required"}


@pytest.mark.parametrize("status", [408, 409, 429, 503])
def test_pages_that_a_reload_may_resolve_say_that_it_sends_the_form(status: int) -> None:
    assert "Reloading this page also sends the form again." in text_of(status)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_other_pages_do_not_suggest_a_reload(status: int) -> None:
    assert "eload" not in text_of(status)

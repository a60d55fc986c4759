"""Errors in fields: stable codes with parameters, and texts that name the remedy."""

from collections.abc import Callable
from typing import Any

import pytest

from intake.errors import FIELD_ERROR_CODES, FieldError, InvalidValue
from tests.conftest import Intake
from tests.files import zipped

FORM: dict[str, tuple[str | None, bytes]] = {
    "email": (None, b"ada@example.com"),
    "f_name": (None, b"Ada"),
    "l_name": (None, b"Lovelace"),
    "CV": ("cv.pdf", b"%PDF-1.4"),
}
PE = b"MZ" + bytes(100)
IDS = {"ids": [1], "status": "ENGAGED"}
USER = {"username": "bunter", "password": "correct horse battery"}
FORM_CASES: list[tuple[str, Any, str, dict[str, Any]]] = [
    ("f_name", None, "required", {}),
    ("CV", None, "required", {}),
    ("CV", ("cv.pdf", b""), "empty", {}),
    ("photo", ("a.png", b"x"), "unknown", {}),
    ("CV", (None, b"x"), "wrong_type", {"expected": "file"}),
    ("email", ("a", b"x"), "wrong_type", {"expected": "text"}),
    ("l_name", (None, b"x" * 201), "too_long", {"max": 200, "unit": "characters"}),
    ("l_name", (None, b"x" * 21_000), "too_long", {"max": 20_480, "unit": "bytes"}),
    ("l_name", (None, b"\xff"), "not_utf8", {}),
    ("l_name", (None, b"a\0b"), "control_characters", {}),
    ("email", (None, b"ada"), "not_an_email", {"suggestion": None}),
    ("email", (None, b"Ada <ada@example.com>"), "not_an_email", {"suggestion": "ada@example.com"}),
    ("email", (None, b"=?utf-8?b?eEBhLmV4YW1wbGUNCg==?=@example.com"), "not_an_email", {"suggestion": None}),
    ("email", (None, b"x" * 65 + b"@example.com"), "not_an_email", {"suggestion": None}),
    ("CV", ("cv.pdf", PE), "program", {}),
    ("CV", ("cv.docx", zipped({"cv.exe": b"x"})), "unsafe_archive", {}),
]
STATES = ["PENDING", "REACHED_OUT", "ENGAGED", "DECLINED"]
INTERNAL_CASES: list[tuple[str, Any, str, str, dict[str, Any]]] = [
    ("GET /internal/leads/?limit=1&limit=2", None, "limit", "repeated", {}),
    ("GET /internal/leads/?limit=0", None, "limit", "out_of_range", {"min": 1}),
    ("GET /internal/leads/?limit=1.0", None, "limit", "wrong_type", {"expected": "number"}),
    ("GET /internal/leads/?order=up", None, "order", "not_one_of", {"choices": ["asc", "desc"]}),
    ("GET /internal/leads/?since=monday", None, "since", "wrong_type", {"expected": "timestamp"}),
    (
        "GET /internal/leads/?since=1950-01-01T00:00:00Z",
        None,
        "since",
        "out_of_range",
        {"min": "1970-01-01T00:00:00Z", "max": "9998-12-31T23:59:59Z"},
    ),
    (f"GET /internal/leads/?q={'x' * 321}", None, "q", "too_long", {"max": 320, "unit": "characters"}),
    ("GET /internal/leads/?q=%00", None, "q", "invalid", {}),
    ("GET /internal/leads/?stat=x", None, "stat", "unknown", {}),
    ("GET /internal/stats?x=1", None, "x", "unknown", {}),
    ("PATCH /internal/leads/1", {}, "status", "required", {}),
    ("PATCH /internal/leads/1", {"status": 1}, "status", "wrong_type", {"expected": "text"}),
    ("PATCH /internal/leads/1", [], "body", "wrong_type", {"expected": "object"}),
    ("PATCH /internal/leads/1", {"status": "LOST"}, "status", "not_one_of", {"choices": STATES}),
    ("POST /internal/leads/state", {**IDS, "ids": 1}, "ids", "wrong_type", {"expected": "list"}),
    ("POST /internal/leads/state", {**IDS, "ids": [1] * 10_001}, "ids", "too_long", {"max": 10_000, "unit": "items"}),
    ("POST /internal/leads/state", {**IDS, "change": "x"}, "change", "wrong_type", {"expected": "uuid"}),
    ("POST /internal/leads/state", {**IDS, "dry_run": 1}, "dry_run", "wrong_type", {"expected": "boolean"}),
    ("POST /internal/auth/register", {**USER, "username": ""}, "username", "invalid_username", {"max": 64}),
    (
        "POST /internal/auth/register",
        {**USER, "password": "x"},
        "password",
        "too_short",
        {"min": 8, "unit": "characters"},
    ),
    (
        "POST /internal/auth/register",
        {**USER, "password": "x" * 73},
        "password",
        "too_long",
        {"max": 72, "unit": "bytes"},
    ),
    ("POST /internal/auth/register", {**USER, "password": "password"}, "password", "common_password", {}),
    (
        "POST /internal/auth/register",
        {"username": "marple-wimsey", "password": "Marple-Wimsey"},
        "password",
        "password_is_username",
        {},
    ),
]


def errors_of_form(intake: Intake, field: str, value: tuple[str | None, bytes] | None) -> Any:
    fields = {name: part for name, part in {**FORM, field: value}.items() if part is not None}
    return intake.client.post("/leads/", files=fields).json()["errors"]


@pytest.mark.parametrize(("field", "value", "code", "params"), FORM_CASES)
def test_errors_of_the_form(
    intake: Intake, field: str, value: tuple[str | None, bytes] | None, code: str, params: dict[str, Any]
) -> None:
    [error] = errors_of_form(intake, field, value)
    assert (error["field"], error["code"], error["params"]) == (field, code, params)


@pytest.mark.parametrize(("request_line", "body", "field", "code", "params"), INTERNAL_CASES)
def test_errors_of_internal_requests(
    intake: Intake, request_line: str, body: Any, field: str, code: str, params: dict[str, Any]
) -> None:
    method, path = request_line.split()
    token = intake.bearer(intake.user(role="admin"))
    [error] = intake.client.request(method, path, json=body, headers=token).json()["errors"]
    assert (error["field"], error["code"], error["params"]) == (field, code, params)


def test_a_file_name_that_is_not_accepted(start: Callable[..., Intake]) -> None:
    [error] = errors_of_form(start(cv_extensions=("pdf", "docx")), "CV", ("cv.pages", b"x"))
    assert error["detail"] == "must have a file name that ends in .pdf or .docx; export it as a PDF"
    assert (error["code"], error["params"]) == ("not_accepted", {"extensions": ["pdf", "docx"]})


def test_an_idempotency_key_that_is_invalid_or_used(intake: Intake) -> None:
    def codes(key: str, name: bytes = b"Ada") -> list[str]:
        fields = {**FORM, "f_name": (None, name)}
        answer = intake.client.post("/leads/", files=fields, headers={"Idempotency-Key": key})
        return [error["code"] for error in answer.json()["errors"]] if answer.content else []

    assert codes("") == ["not_printable"]
    assert (codes("k"), codes("k", b"Grace")) == ([], ["already_used"])


def test_every_code_has_a_case() -> None:
    elsewhere = {"not_accepted", "not_printable", "already_used", "another_person"}
    elsewhere |= {"not_a_phone", "not_a_date", "form_only"}  # of fields that the firm defines
    cases = [case[2:] for case in FORM_CASES] + [case[3:] for case in INTERNAL_CASES]
    assert {code for code, _ in cases} | elsewhere == set(FIELD_ERROR_CODES)
    for code, params in cases:
        assert set(params) <= set(FIELD_ERROR_CODES[code]), code


def test_value_errors_without_a_code_are_invalid() -> None:
    assert FieldError.of("a", ValueError("x")) == FieldError("a", "x", "invalid", {})
    assert FieldError.of("a", InvalidValue("x", "empty")) == FieldError("a", "x", "empty", {})

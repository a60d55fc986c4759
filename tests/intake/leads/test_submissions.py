"""Validation of submissions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.cvs.spool import SpooledUpload
from intake.errors import FieldError, ValidationError
from intake.form.values import is_blank
from intake.leads.new_lead import Submission
from intake.leads.submissions import validate_submission

GOOD = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}


def checked(cv_name: str | None = "cv.pdf", content: bytes = b"a CV", /, **changes: str) -> Submission:
    with SpooledUpload() as cv:
        cv.write(content)
        return validate_submission({**GOOD, **changes}, cv_name=cv_name, cv=cv, extensions=())


def test_values_are_trimmed() -> None:
    submission = checked(f_name="\u3000 Ada\n", email=" ada@example.com ")
    assert (submission.f_name, submission.email.text) == ("Ada", "ada@example.com")


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200).filter(
        lambda text: text == text.strip() and not is_blank(text)
    )
)
def test_names_without_control_characters_stay_unchanged(name: str) -> None:
    assert checked(l_name=name).l_name == name


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("f_name", "", "is required"),
        ("f_name", " \t", "is required"),
        ("l_name", "a" * 201, "must have at most 200 characters"),
        ("l_name", "a\0b", "must not contain control characters"),
        ("l_name", "a\x1b[31mb", "must not contain control characters"),
        ("l_name", "a\x85b", "must not contain control characters"),
        ("email", "", "is required"),
        ("email", "Ada <ada@example.com>", "must be only the email address; write only ada@example.com"),
        ("email", "ada", "must be an email address, such as ada@example.com"),
    ],
)
def test_an_error_names_its_field(field: str, value: str, detail: str) -> None:
    with pytest.raises(ValidationError) as raised:
        checked(**{field: value})
    assert [(fault.field, fault.detail) for fault in raised.value.faults] == [(field, detail)]


@pytest.mark.parametrize(
    "address",
    ["a@b", "a b@example.com", "a@example.com\nBcc: b@example.com", "Ada <a@example.com>", "@example.com", "a@-x.com"],
)
def test_invalid_addresses(address: str) -> None:
    with pytest.raises(ValidationError, match="email"):
        checked(email=address)


@pytest.mark.parametrize(
    ("typed", "stored", "recipient"),
    [
        ("Ada@EXAMPLE.com", "Ada@example.com", "Ada@example.com"),
        ("ada@exämple.de", "ada@exämple.de", "ada@xn--exmple-cua.de"),
        ("zoë@example.com", "zoë@example.com", "zoë@example.com"),
    ],
)
def test_addresses_are_stored_in_unicode_and_mailed_in_ascii(typed: str, stored: str, recipient: str) -> None:
    address = checked(email=typed).email
    assert (address.text, address.recipient) == (stored, recipient)


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        (None, "is required; attach a file"),
        ("a" * 256, "its file name must have at most 255 characters"),
        ("a\nb.pdf", "its file name must not contain control characters"),
    ],
)
def test_errors_of_the_file(name: str | None, detail: str) -> None:
    with pytest.raises(ValidationError) as raised:
        checked(name)
    assert [(fault.field, fault.detail) for fault in raised.value.faults] == [("CV", detail)]


def test_an_empty_file_is_rejected() -> None:
    with pytest.raises(ValidationError, match="CV: is empty"):
        checked("cv.pdf", b"")


def test_all_errors_are_reported_in_the_order_of_fields() -> None:
    early = [FieldError("other", "unknown file"), FieldError("l_name", "must be UTF-8")]
    with pytest.raises(ValidationError) as raised:
        validate_submission({}, cv_name=None, cv=None, extensions=(), faults=early)
    assert [fault.field for fault in raised.value.faults] == ["f_name", "l_name", "email", "CV", "other"]
    assert early[1] in raised.value.faults

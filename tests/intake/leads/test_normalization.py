"""Normalization of keys and patterns."""

import unicodedata

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from intake.errors import InvalidValue
from intake.leads.normalization import Pattern, mailbox_key, normalize_key, parse_email


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada", "aDA"),
        ("STRASSE", "straße"),
        ("Zoë", "Zoe\u0308"),
        ("ﬁne", "FINE"),
        ("Ａｄａ", "ada"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_keys_ignore_case_and_unicode_form(one: str, other: str) -> None:
    assert normalize_key(one) == normalize_key(other)


def test_dotless_and_dotted_i_differ() -> None:
    assert normalize_key("ı") != normalize_key("i")


@given(st.text())
def test_normalization_is_idempotent(text: str) -> None:
    assert normalize_key(normalize_key(text)) == normalize_key(text)


@given(st.text())
def test_every_canonical_form_has_the_same_key(text: str) -> None:
    assert {normalize_key(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")} == {normalize_key(text)}


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        ("ada", ("ada",)),
        ("", ("",)),
        ("*", ("", "")),
        ("A*a", ("a", "a")),
        (r"a\*b", ("a*b",)),
        (r"a\b", (r"a\b",)),
        (r"\\*", (r"\*",)),
        ("a＊b", ("a*b",)),
        ("100%_", ("100%_",)),
    ],
)
def test_only_a_star_is_a_wildcard(text: str, literals: tuple[str, ...]) -> None:
    assert Pattern.parse(text).literals == literals


@given(st.text())
def test_escaped_stars_are_literal(text: str) -> None:
    pattern = Pattern.parse(text.replace("*", r"\*"))
    assert pattern.is_whole
    assert pattern.prefix == normalize_key(text)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("Ada+x+y@Example.com", "ada@example.com"),
        ("+x@example.com", "+x@example.com"),
        ("a+@example.com", "a@example.com"),
        ("a.d.a+x@GMAIL.com", "ada@gmail.com"),
        ("ada@googlemail.com", "ada@gmail.com"),
        ("A.d-a_+x@pm.me", "ada@proton.me"),
        ("ada@protonmail.com", "ada@proton.me"),
        ("a.da@mail.gmail.com", "a.da@mail.gmail.com"),
        ("a.da@example.com", "a.da@example.com"),
        ("ada@straße.example", "ada@straße.example"),
    ],
)
def test_a_mailbox_has_one_key(address: str, key: str) -> None:
    assert mailbox_key(address) == key


_LOCALS = st.from_regex(r"[a-z0-9._+-]{1,20}|abuse|Postmaster|x{64,66}", fullmatch=True)
_DOMAINS = st.one_of(
    st.sampled_from(
        ["example.com", "EXAMPLE.com", "bücher.de", "xn--bcher-kva.de", "a", "x.test", "x..y", "[::1]", ""]
    ),
    st.from_regex(r"[A-Za-z0-9.\-äß ><@]{1,20}\.[a-z]{1,4}", fullmatch=True),
)


@given(_LOCALS, _DOMAINS)
def test_an_address_is_what_the_library_returns(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    try:
        expected = validate_email(text, check_deliverability=False, allow_display_name=True)
    except EmailNotValidError:
        with pytest.raises(InvalidValue):
            parse_email(text)
        return
    if "<" not in text:
        assert parse_email(text) == (expected.normalized, expected.ascii_email)

"""Password requirements and hashes."""

import time

import pytest

from intake.users.passwords import _common_passwords, hash_password, password_fault, verify_password


def error_of(password: str, *, username: str = "harriet", least: int = 8) -> str:
    error = password_fault(password, field="password", username=username, min_characters=least)
    assert error is None or error.field == "password"
    return error.detail if error else ""


@pytest.mark.parametrize(
    ("password", "part"),
    [
        ("short", "at least 8 characters"),
        ("Zoe\u0308 123", "at least 8 characters"),  # a combining accent does not count as a character
        ("x" * 73, "at most 72 bytes"),
        ("é" * 37, "at most 72 bytes"),
        ("password", "one of the most common"),
        ("PassWord1", "one of the most common"),
        ("1q2w3e4r", "one of the most common"),
        ("HARRIET1", ""),
        ("Harriet.V", ""),
    ],
)
def test_password_requirements(password: str, part: str) -> None:
    assert part in (found := error_of(password))
    assert bool(found) == bool(part)


def test_long_combining_sequences_are_not_normalized() -> None:
    password = "a" + "\u0301" * 16_200 + "\u0316" * 16_200  # normalizing it takes seconds
    began = time.monotonic()
    assert error_of(password) == "must have at most 72 bytes in UTF-8"
    assert not verify_password(password, None)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("password", ["harriet.vane", "HARRIET.Vane", "Harriet.VaneHarriet.Vane"])
def test_the_username_is_rejected(password: str) -> None:
    assert "must not be the username" in error_of(password, username="Harriet.Vane")


def test_the_minimum_length_can_be_raised() -> None:
    assert error_of("eleven char", least=12) == "must have at least 12 characters"
    assert error_of("twelve chars", least=12) == ""


@pytest.mark.parametrize("password", ["x" * 8, "x" * 72, "é" * 36, "pass\0word"])
def test_accepted_passwords(password: str) -> None:
    assert error_of(password) == ""


def test_the_list_has_a_thousand_passwords_of_permitted_length() -> None:
    assert len(_common_passwords()) == 1000
    assert all(len(password) >= 8 and password == password.casefold() for password in _common_passwords())


def test_only_the_same_password_matches_in_any_unicode_form() -> None:
    hashed = hash_password("Zoë's pass\0word")
    assert hashed.startswith("$2b$12$")
    assert verify_password("Zoe\u0308's pass\0word", hashed)
    assert not verify_password("Zoë's pass\0wort", hashed)
    assert not verify_password("", hashed)
    assert not verify_password("x" * 10_000, hashed)


def test_a_longer_password_with_the_same_first_bytes_does_not_match() -> None:
    assert not verify_password("x" * 73, hash_password("x" * 72))


def test_verification_takes_as_long_for_unknown_users() -> None:
    hashed = hash_password("correct horse")

    def took(password_hash: str | None) -> float:
        began = time.thread_time()
        assert not verify_password("wrong", password_hash)
        return time.thread_time() - began

    existing, unknown = (min(took(password_hash) for _ in range(3)) for password_hash in (hashed, None))
    assert 0.5 < existing / unknown < 2

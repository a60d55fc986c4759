"""Passwords."""

import time

import pytest

from intake.users.passwords import _common_passwords, hash_password, password_fault, verify_password


def fault_of(password: str, *, username: str = "harriet", least: int = 8) -> str:
    fault = password_fault(password, field="password", username=username, min_characters=least)
    assert fault is None or fault.field == "password"
    return fault.detail if fault else ""


@pytest.mark.parametrize(
    ("password", "part"),
    [
        ("short", "at least 8 characters"),
        ("Zoe\u0308 123", "at least 8 characters"),  # an accent is no character of its own
        ("x" * 73, "at most 72 bytes"),
        ("é" * 37, "at most 72 bytes"),
        ("password", "one of the most common"),
        ("PassWord1", "one of the most common"),
        ("1q2w3e4r", "one of the most common"),
        ("HARRIET1", ""),
        ("Harriet.V", ""),
    ],
)
def test_bounds(password: str, part: str) -> None:
    assert part in (found := fault_of(password))
    assert bool(found) == bool(part)


@pytest.mark.parametrize("password", ["harriet.vane", "HARRIET.Vane", "Harriet.VaneHarriet.Vane"])
def test_ones_own_name_is_no_password(password: str) -> None:
    assert "must not be the username" in fault_of(password, username="Harriet.Vane")


def test_a_firm_may_ask_for_longer_ones() -> None:
    assert fault_of("eleven char", least=12) == "must have at least 12 characters"
    assert fault_of("twelve chars", least=12) == ""


@pytest.mark.parametrize("password", ["x" * 8, "x" * 72, "é" * 36, "pass\0word"])
def test_within_bounds(password: str) -> None:
    assert fault_of(password) == ""


def test_the_list_holds_a_thousand_that_are_long_enough_to_be_set() -> None:
    assert len(_common_passwords()) == 1000
    assert all(len(password) >= 8 and password == password.casefold() for password in _common_passwords())


def test_only_the_same_password_matches_however_it_was_composed() -> None:
    hashed = hash_password("Zoë's pass\0word")
    assert hashed.startswith("$2b$12$")
    assert verify_password("Zoe\u0308's pass\0word", hashed)
    assert not verify_password("Zoë's pass\0wort", hashed)
    assert not verify_password("", hashed)
    assert not verify_password("x" * 10_000, hashed)


def test_a_longer_password_with_the_same_first_bytes_does_not_match() -> None:
    assert not verify_password("x" * 73, hash_password("x" * 72))


def test_nobodys_password_takes_as_long_as_somebodys() -> None:
    hashed = hash_password("correct horse")

    def took(password_hash: str | None) -> float:
        began = time.thread_time()
        assert not verify_password("wrong", password_hash)
        return time.thread_time() - began

    somebodys, nobodys = (min(took(known) for _ in range(3)) for known in (hashed, None))
    assert 0.5 < somebodys / nobodys < 2

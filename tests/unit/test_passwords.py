"""Passwords."""

import time

import pytest

from intake.users.passwords import hash_password, matches, password_fault


@pytest.mark.parametrize(
    ("password", "part"),
    [("short", "at least 8 characters"), ("x" * 73, "at most 72 bytes"), ("é" * 37, "at most 72 bytes")],
)
def test_bounds(password: str, part: str) -> None:
    fault = password_fault(password, field="password")
    assert fault is not None
    assert part in fault.detail


@pytest.mark.parametrize("password", ["x" * 8, "x" * 72, "é" * 36, "pass\0word"])
def test_within_bounds(password: str) -> None:
    assert password_fault(password, field="password") is None


def test_only_the_same_password_matches_however_it_was_composed() -> None:
    hashed = hash_password("Zoë's pass\0word")
    assert hashed.startswith("$2b$12$")
    assert matches("Zoe\u0308's pass\0word", hashed)
    assert not matches("Zoë's pass\0wort", hashed)
    assert not matches("", hashed)
    assert not matches("x" * 10_000, hashed)


def test_a_longer_password_with_the_same_first_bytes_does_not_match() -> None:
    assert not matches("x" * 73, hash_password("x" * 72))


def test_nobodys_password_takes_as_long_as_somebodys() -> None:
    hashed = hash_password("correct horse")

    def took(password_hash: str | None) -> float:
        began = time.thread_time()
        assert not matches("wrong", password_hash)
        return time.thread_time() - began

    somebodys, nobodys = (min(took(known) for _ in range(3)) for known in (hashed, None))
    assert 0.5 < somebodys / nobodys < 2

"""POST /internal/auth/login."""

import time

import jwt
import pytest

from intake.users import accounts
from intake.users.passwords import hash_password
from tests.conftest import PASSWORD, SECRET, Intake


def log_in(intake: Intake, username: str = "ada", password: str = PASSWORD) -> tuple[int, dict[str, object]]:
    answer = intake.client.post("/internal/auth/login", json={"username": username, "password": password})
    return answer.status_code, answer.json()


def test_a_token_for_half_an_hour(intake: Intake) -> None:
    user_id = intake.user("Ada")
    status, body = log_in(intake, "aDA")
    assert status == 200
    assert list(body) == ["access_token", "token_type", "expires_in"]
    assert (body["token_type"], body["expires_in"]) == ("bearer", 1800)
    claims = jwt.decode(str(body["access_token"]), SECRET, algorithms=["HS256"])
    assert claims["sub"] == str(user_id)
    assert claims["exp"] - claims["iat"] == 1800
    assert abs(claims["auth_time"] - time.time()) < 30
    assert claims["gen"] == 0


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ada", "wrong"),
        ("nobody", PASSWORD),
        ("ada", ""),
        ("", ""),
        ("ada", "x" * 1000),
        ("a\0da", "\0"),
        ("disabled", PASSWORD),
    ],
)
def test_a_wrong_name_and_a_wrong_password_are_answered_alike(intake: Intake, username: str, password: str) -> None:
    intake.user()
    intake.user("disabled", disabled=True)
    status, body = log_in(intake, username, password)
    assert (status, body["detail"]) == (401, "wrong username or password")


def test_they_take_the_same_time(intake: Intake) -> None:
    accounts.create(intake.database, username="ada", password=PASSWORD, role=None)
    assert hash_password(PASSWORD)[:7] == "$2b$12$"

    def took(username: str) -> float:
        began = time.perf_counter()
        assert log_in(intake, username, "wrong password")[0] == 401
        return time.perf_counter() - began

    known, unknown = (min(took(name) for _ in range(3)) for name in ("ada", "nobody"))
    assert 0.5 < known / unknown < 2


def test_many_unknown_fields_make_no_large_answer(intake: Intake) -> None:
    answer = intake.client.post("/internal/auth/login", json={f"f{n}": 1 for n in range(5000)})
    assert answer.status_code == 422
    assert len(answer.content) < 5000
    assert intake.client.post("/internal/auth/login", json={"username": "x" * 2**16}).status_code == 413


@pytest.mark.parametrize("body", [{}, {"username": "ada"}, {"username": 1, "password": PASSWORD}, {"username": None}])
def test_missing_fields_are_named(intake: Intake, body: dict[str, object]) -> None:
    answer = intake.client.post("/internal/auth/login", json=body)
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json()["errors"]} <= {"username", "password"}


def test_a_token_is_kept_by_nobody_on_its_way(intake: Intake) -> None:
    intake.user()
    answer = intake.client.post("/internal/auth/login", json={"username": "ada", "password": PASSWORD})
    assert answer.headers["Cache-Control"] == "no-store"

"""PUT /internal/auth/password."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from intake.database.installation import Fingerprints
from intake.users.login_throttle import LoginThrottle
from tests.conftest import PASSWORD, Intake

NEW = "a new correct horse"


def change(client: TestClient, old: Any = PASSWORD, new: Any = NEW, **more: object) -> Response:
    return client.put("/internal/auth/password", json={"old": old, "new": new, **more})


def log_in(intake: Intake, password: str) -> int:
    body = {"username": "ada", "password": password}
    return intake.client.post("/internal/auth/login", json=body).status_code


def test_a_new_password_applies_and_the_user_stays_logged_in(attorney: TestClient, intake: Intake) -> None:
    answer = change(attorney)
    assert answer.status_code == 200
    assert (answer.json()["expires_in"], answer.headers["Cache-Control"]) == (1800, "no-store")
    assert (log_in(intake, PASSWORD), log_in(intake, NEW)) == (401, 200)
    assert attorney.get("/internal/auth/me").status_code == 401, "older tokens are invalid"
    attorney.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    assert attorney.get("/internal/auth/me").status_code == 200


def test_the_old_password_must_match(attorney: TestClient, intake: Intake) -> None:
    answer = change(attorney, old="wrong password")
    assert (answer.status_code, answer.json()["detail"]) == (403, "the old password is wrong")
    assert attorney.get("/internal/auth/me").status_code == 200
    assert log_in(intake, PASSWORD) == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"new": "short"}, "new"),
        ({"new": "é" * 37}, "new"),
        ({"new": None}, "new"),
        ({"old": 1}, "old"),
        ({"user": "ada"}, "user"),
    ],
)
def test_invalid_fields_are_named(attorney: TestClient, body: dict[str, Any], field: str) -> None:
    answer = change(attorney, **body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


def test_one_of_two_concurrent_changes_succeeds(attorney: TestClient, intake: Intake, twin: Intake) -> None:
    twin.client.headers.update(attorney.headers)
    with ThreadPoolExecutor(2) as pool:
        new = "the first of two", "the second of two"
        answers = list(pool.map(change, (attorney, twin.client), [PASSWORD] * 2, new))
    assert sorted(answer.status_code for answer in answers) == [200, 401]
    assert sorted((log_in(intake, "the first of two"), log_in(intake, "the second of two"))) == [200, 401]


def test_guesses_with_a_token_are_throttled(attorney: TestClient, intake: Intake) -> None:
    later_s = 0
    counted = LoginThrottle.in_memory(Fingerprints(b"s" * 32), clock=lambda: time.monotonic() + later_s)
    intake.client.app_state["login_throttle"] = counted
    assert [change(attorney, old="wrong password").status_code for _ in range(5)] == [403] * 5
    answer = change(attorney)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert attorney.get("/internal/auth/me").status_code == 200
    later_s = 1
    assert change(attorney).status_code == 200


@pytest.mark.parametrize(("new", "part"), [("Password1", "most common"), ("adaADAada", "must not be the username")])
def test_common_passwords_are_rejected(attorney: TestClient, new: str, part: str) -> None:
    [fault] = change(attorney, new=new).json()["errors"]
    assert fault["field"] == "new"
    assert part in fault["detail"]

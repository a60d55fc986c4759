"""POST /internal/auth/login."""

import re
import socket
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from httpx2 import Response
from sqlalchemy import Engine, event, select
from starlette.testclient import TestClient

from intake.database.installation import Fingerprints
from intake.database.schema import audit
from intake.errors import AuthenticationRequired
from intake.users import accounts, authentication
from intake.users.login_throttle import FREE_ATTEMPTS, LoginThrottle
from intake.users.passwords import hash_password
from tests.conftest import PASSWORD, SECRET, Intake


def log_in(intake: Intake, username: str = "ada", password: str = PASSWORD) -> tuple[int, dict[str, object]]:
    answer = intake.client.post("/internal/auth/login", json={"username": username, "password": password})
    return answer.status_code, answer.json()


def test_a_token_is_valid_for_30_minutes(intake: Intake) -> None:
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
def test_wrong_usernames_and_passwords_get_equal_responses(intake: Intake, username: str, password: str) -> None:
    intake.user()
    intake.user("disabled", disabled=True)
    status, body = log_in(intake, username, password)
    assert (status, body["detail"]) == (401, "wrong username or password")


def test_wrong_usernames_and_passwords_take_equal_time(intake: Intake) -> None:
    accounts.create_user(intake.database, username="ada", password=PASSWORD, role=None)
    assert hash_password(PASSWORD)[:7] == "$2b$12$"

    def took(username: str) -> float:
        began = time.perf_counter()
        assert log_in(intake, username, "wrong password")[0] == 401
        return time.perf_counter() - began

    known, unknown = (min(took(name) for _ in range(2)) for name in ("ada", "nobody"))
    assert 0.5 < known / unknown < 2


@pytest.mark.parametrize("is_audited", [True, False])
def test_wrong_usernames_and_passwords_cost_the_same_writes(intake: Intake, is_audited: bool) -> None:
    intake.user("ada")
    asked, rows_written = [], []

    def should_audit() -> bool:
        asked.append(True)
        return is_audited

    def after_execute(_connection: Any, _clause: Any, _many: Any, _parameters: Any, _options: Any, result: Any) -> None:
        if result.context.isinsert or result.context.isupdate:
            rows_written.append(result.rowcount)

    event.listen(Engine, "after_execute", after_execute)
    try:
        for username in ("ada", "nobody"):
            with pytest.raises(AuthenticationRequired):
                authentication.log_in(
                    intake.database, intake.keys, username=username, password="no", should_audit_unknown=should_audit
                )
    finally:
        event.remove(Engine, "after_execute", after_execute)
    assert (asked, rows_written) == ([True, True], [1, 1])
    subjects = intake.read(lambda c: list(c.scalars(select(audit.c.subject_id).order_by(audit.c.id))))
    assert subjects == ([1, None] if is_audited else [1])


def test_many_unknown_fields_do_not_enlarge_the_response(intake: Intake) -> None:
    answer = intake.client.post("/internal/auth/login", json={f"f{n}": 1 for n in range(5000)})
    assert answer.status_code == 422
    assert len(answer.content) < 5000
    assert intake.client.post("/internal/auth/login", json={"username": "x" * 2**16}).status_code == 413


@pytest.mark.parametrize("body", [{}, {"username": "ada"}, {"username": 1, "password": PASSWORD}, {"username": None}])
def test_missing_fields_are_named(intake: Intake, body: dict[str, object]) -> None:
    answer = intake.client.post("/internal/auth/login", json=body)
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json()["errors"]} <= {"username", "password"}


def test_token_responses_are_not_cached(intake: Intake) -> None:
    intake.user()
    answer = intake.client.post("/internal/auth/login", json={"username": "ada", "password": PASSWORD})
    assert answer.headers["Cache-Control"] == "no-store"


def guess(client: TestClient, username: str = "ada", password: str = "wrong password") -> Response:
    return client.post("/internal/auth/login", json={"username": username, "password": password})


def outcomes(intake: Intake) -> dict[str, float]:
    text = intake.client.get("/metrics").text
    found = re.findall(r'^intake_logins_total\{outcome="(\w+)"\} (\S+)', text, re.MULTILINE)
    return {outcome: float(number) for outcome, number in found if float(number)}


def at(intake: Intake, address: str) -> TestClient:
    """Return a client of the same service with another address."""
    client = TestClient(intake.client.app, client=(address, 5000), raise_server_exceptions=False)
    client.app_state.update(intake.client.app_state)
    return client


def test_throttled_logins_are_refused_without_hashing(intake: Intake) -> None:
    user_id = intake.user()
    later_s = 0
    counted = LoginThrottle.in_memory(Fingerprints(b"s" * 32), clock=lambda: time.monotonic() + later_s)
    intake.client.app_state["login_throttle"] = counted
    assert [guess(intake.client).status_code for _ in range(FREE_ATTEMPTS)] == [401] * FREE_ATTEMPTS
    refused = guess(intake.client, password=PASSWORD)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert (refused.json()["title"], refused.json()["detail"]) == (
        "Too many guesses",
        "too many wrong passwords; try again later",
    )
    assert outcomes(intake) == {"wrong": FREE_ATTEMPTS, "refused": 1}
    assert intake.count(audit) == FREE_ATTEMPTS, "refused attempts are counted but not recorded"
    assert intake.client.get("/internal/auth/me", headers=intake.bearer(user_id)).status_code == 200
    later_s = 1
    assert guess(intake.client, password=PASSWORD).status_code == 200


def test_unknown_usernames_are_throttled_alike(intake: Intake) -> None:
    intake.user()
    answers = {}
    for name in ("ada", "nobody"):
        intake.client.app_state["login_throttle"] = LoginThrottle.in_memory(Fingerprints(b"s" * 32))
        answers[name] = [guess(intake.client, name.upper()) for _ in range(FREE_ATTEMPTS + 1)]
    ada, nobody = answers.values()
    assert (
        [answer.status_code for answer in ada]
        == [answer.status_code for answer in nobody]
        == [401] * FREE_ATTEMPTS + [429]
    )
    assert [answer.content for answer in ada] == [answer.content for answer in nobody]


def test_a_known_address_can_log_in_while_throttled(start: Callable[..., Intake]) -> None:
    before = start()
    before.user()
    assert guess(at(before, "192.0.2.1"), password=PASSWORD).status_code == 200
    intake = start(database_url=before.settings.database_url)
    for number in range(FREE_ATTEMPTS):
        assert guess(at(intake, f"198.51.100.{number}")).status_code == 401
    assert guess(at(intake, "198.51.100.99"), password=PASSWORD).status_code == 429
    assert guess(at(intake, "192.0.2.1"), password=PASSWORD).status_code == 200


def test_without_the_store_logins_fail_and_tokens_stay_valid(start: Callable[..., Intake]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        intake = start(limits_store=f"valkey://user:marked-secret@127.0.0.1:{unused.getsockname()[1]}/0")
        user = intake.bearer(intake.user())
        answer = guess(intake.client, password=PASSWORD)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["title"] == "Rate limiter unavailable"
    assert "marked-secret" not in answer.text
    assert intake.client.get("/internal/auth/me", headers=user).status_code == 200
    assert intake.client.post("/internal/auth/renew", headers=user).status_code == 200
    change = {"old": PASSWORD, "new": "a new correct horse"}
    assert intake.client.put("/internal/auth/password", json=change, headers=user).status_code == 503

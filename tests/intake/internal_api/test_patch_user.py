"""PATCH /internal/users/<name>."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import Connection, select
from starlette.testclient import TestClient

from intake.database.schema import user_account
from tests.conftest import PASSWORD, Intake
from tests.intake.internal_api.hashing import all_taken, await_waiting


@pytest.fixture
def admin(intake: Intake) -> TestClient:
    """The client of harriet, the only administrator; peter is an attorney."""
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    intake.user("peter")
    return intake.client


def patch(client: TestClient, name: str, **body: object) -> Response:
    return client.patch(f"/internal/users/{name}", json=body)


def row(intake: Intake, name: str) -> Any:
    query = select(user_account).where(user_account.c.username == name)
    return intake.read(lambda connection: connection.execute(query).mappings().one())


def log_in(intake: Intake, username: str, password: str = PASSWORD) -> int:
    body = {"username": username, "password": password}
    return intake.client.post("/internal/auth/login", json=body).status_code


def test_a_new_role_applies_to_the_next_request(admin: TestClient, intake: Intake) -> None:
    peter = intake.bearer(row(intake, "peter")["id"])
    assert admin.get("/internal/users", headers=peter).status_code == 403
    answer = patch(admin, "PETER", role="admin")
    assert (answer.status_code, answer.content) == (204, b"")
    assert admin.get("/internal/users", headers=peter).status_code == 200, "the token remains valid"


def test_a_disabled_user_must_log_in_again_once_enabled(admin: TestClient, intake: Intake) -> None:
    peter = intake.bearer(row(intake, "peter")["id"])
    assert patch(admin, "peter", disabled=True).status_code == 204
    assert log_in(intake, "peter") == 401
    assert patch(admin, "peter", disabled=False).status_code == 204
    assert admin.get("/internal/auth/me", headers=peter).status_code == 401
    assert log_in(intake, "peter") == 200


def test_a_new_password_revokes_tokens(admin: TestClient, intake: Intake) -> None:
    peter = intake.bearer(row(intake, "peter")["id"])
    assert patch(admin, "peter", password="a new password").status_code == 204
    assert admin.get("/internal/auth/me", headers=peter).status_code == 401
    assert (log_in(intake, "peter"), log_in(intake, "peter", "a new password")) == (401, 200)


def test_administrators_can_not_reset_their_own_password(admin: TestClient, intake: Intake) -> None:
    for name in ("harriet", "HARRIET"):
        answer = patch(admin, name, password="a new password", disabled=False)
        assert (answer.status_code, answer.json()["title"]) == (403, "Not allowed")
        for remedy in ("PUT /internal/auth/password", "leadctl passwd"):
            assert remedy in answer.json()["detail"]
    assert (log_in(intake, "harriet"), row(intake, "harriet")["token_generation"]) == (200, 0)


def test_only_password_changes_wait_for_hashing(admin: TestClient, intake: Intake) -> None:
    with ThreadPoolExecutor(1) as pool, all_taken(intake) as queue:
        assert patch(admin, "peter", role="admin").status_code == 204
        assert patch(admin, "peter", disabled=True).status_code == 204
        waiting = pool.submit(patch, admin, "peter", password="a new password")
        await_waiting(queue, 1)
    assert waiting.result().status_code == 204


def test_several_changes_at_once(admin: TestClient, intake: Intake) -> None:
    assert patch(admin, "peter", role="admin", disabled=True, password="a new password").status_code == 204
    peter = row(intake, "peter")
    assert (peter["role"], peter["disabled"], peter["token_generation"]) == ("admin", True, 1)


@pytest.mark.parametrize("body", [{"disabled": True}, {"role": "attorney"}])
def test_the_last_administrator_can_not_be_demoted(admin: TestClient, intake: Intake, body: dict[str, object]) -> None:
    intake.user("parker", role="admin", disabled=True)
    answer = patch(admin, "harriet", **body)
    assert (answer.status_code, answer.json()["title"]) == (409, "Last administrator")
    assert answer.json()["detail"] == "'harriet' is the last enabled administrator; nothing was changed"
    assert admin.get("/internal/users").status_code == 200, "nothing was changed"
    assert patch(admin, "parker", disabled=False).status_code == 204
    assert patch(admin, "harriet", **body).status_code == 204


def test_two_administrators_can_not_disable_each_other(intake: Intake, twin: Intake) -> None:
    headers = {name: intake.bearer(intake.user(name, role="admin")) for name in ("harriet", "peter")}
    locked, release = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        connection.execute(select(user_account).with_for_update())  # both requests wait for this lock
        locked.set()
        release.wait(20)

    def disable(at: Intake, by: str, whom: str) -> int:
        answer = at.client.patch(f"/internal/users/{whom}", json={"disabled": True}, headers=headers[by])
        return answer.status_code

    with ThreadPoolExecutor(3) as pool:
        holding = pool.submit(intake.write, hold)
        assert locked.wait(20)
        statuses = pool.map(disable, (intake, twin), ("harriet", "peter"), ("peter", "harriet"))
        time.sleep(1)
        release.set()
        holding.result()
        assert sorted(statuses) == [204, 409]
    assert row(intake, "harriet")["disabled"] != row(intake, "peter")["disabled"]


@pytest.mark.parametrize("name", ["nobody", "a b", "%00", "%E2%82%AC", "x" * 65, "1"])
def test_an_unknown_user_is_not_found(admin: TestClient, name: str) -> None:
    answer = patch(admin, name, disabled=True)
    assert (answer.status_code, answer.json()["title"]) == (404, "User not found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"role": None}, "body"),
        ({"role": "king"}, "role"),
        ({"disabled": "yes"}, "disabled"),
        ({"disabled": 1}, "disabled"),
        ({"password": "short"}, "password"),
        ({"name": "x", "disabled": True}, "name"),
        ([], "body"),
    ],
)
def test_an_invalid_body_names_the_field(admin: TestClient, intake: Intake, body: Any, field: str) -> None:
    answer = admin.patch("/internal/users/peter", json=body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert row(intake, "peter")["token_generation"] == 0


def test_only_administrators_are_allowed(intake: Intake, attorney: TestClient) -> None:
    assert patch(attorney, "ada", disabled=True).status_code == 403

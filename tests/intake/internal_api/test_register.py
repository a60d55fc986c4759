"""POST /internal/auth/register."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from httpx2 import Response
from sqlalchemy import select

from intake.database.schema import user_account
from tests.conftest import Intake
from tests.intake.internal_api.hashing import all_taken, await_waiting


def register(intake: Intake, headers: dict[str, str] | None = None, **body: object) -> Response:
    whole = {"username": "grace", "password": "amazing grace", **body}
    return intake.client.post("/internal/auth/register", json=whole, headers=headers or {})


def users(intake: Intake) -> dict[str, str]:
    rows = intake.read(lambda c: c.execute(select(user_account.c.username, user_account.c.role)).all())
    return dict(rows)


def test_an_administrator_registers_users_of_either_role(intake: Intake) -> None:
    admin = intake.bearer(intake.user(role="admin"))
    assert register(intake, admin).status_code == 204
    assert register(intake, admin, username="Peter@firm.example", role="admin").status_code == 204
    assert users(intake) == {"ada": "admin", "grace": "attorney", "Peter@firm.example": "admin"}


def test_other_users_can_not_register(intake: Intake) -> None:
    attorney = intake.bearer(intake.user())
    assert register(intake).status_code == 401
    assert register(intake, {"Authorization": "Bearer x"}).status_code == 401
    assert register(intake, attorney).status_code == 403
    assert users(intake) == {"ada": "attorney"}


def test_a_forbidden_registration_does_not_wait_for_hashing(intake: Intake) -> None:
    attorney = intake.bearer(intake.user())
    with all_taken(intake):
        assert register(intake).status_code == 401
        assert register(intake, attorney).status_code == 403


def test_open_registration_limits_waiting_requests_per_network(start: Callable[..., Intake]) -> None:
    intake = start(open_registration=True)
    with ThreadPoolExecutor(2) as pool, all_taken(intake) as queue:
        waiting = [pool.submit(register, intake, username=f"user{number}") for number in range(2)]
        await_waiting(queue, 2)
        refused = register(intake)
    assert (refused.status_code, refused.json()["title"], refused.headers["Retry-After"]) == (
        *(429, "Too many logins"),
        "5",
    )
    assert [answer.result().status_code for answer in waiting] == [204, 204]


def test_open_registration_creates_attorneys_only(start: Callable[..., Intake]) -> None:
    intake = start(open_registration=True)
    assert register(intake).status_code == 204
    assert register(intake, username="mallory", role="admin").status_code == 403
    assert register(intake, {"Authorization": "Bearer x"}, username="mallory").status_code == 401
    assert users(intake) == {"grace": "attorney"}


def test_usernames_are_unique_ignoring_case(intake: Intake) -> None:
    admin = intake.bearer(intake.user(role="admin"))
    assert register(intake, admin, username="Grace").status_code == 204
    answer = register(intake, admin, username="gRACE")
    assert (answer.status_code, answer.json()["title"]) == (409, "Username taken")


def test_one_of_two_concurrent_registrations_succeeds(intake: Intake, twin: Intake) -> None:
    admin = intake.bearer(intake.user(role="admin"))
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda at: register(at, admin).status_code, (intake, twin) * 2))
    assert statuses == [204, 409, 409, 409]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": ""}, "username"),
        ({"username": "a" * 65}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "a\n"}, "username"),
        ({"username": "zoë"}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 73}, "password"),
        ({"password": "é" * 37}, "password"),
        ({"role": "king"}, "role"),
    ],
)
def test_invalid_fields_are_named(intake: Intake, body: dict[str, object], field: str) -> None:
    answer = register(intake, intake.bearer(intake.user(role="admin")), **body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


def test_all_invalid_fields_are_named(intake: Intake) -> None:
    answer = register(intake, intake.bearer(intake.user(role="admin")), username="", password="", role="")
    assert [fault["field"] for fault in answer.json()["errors"]] == ["username", "password", "role"]

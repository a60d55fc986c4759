"""GET /internal/audit, and what stands in it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from starlette.testclient import TestClient

from intake.audit import Action, Origin, record
from intake.database.schema import audit
from intake.users import accounts
from tests.conftest import PASSWORD, Intake

NEW = "a new correct horse"


@pytest.fixture
def admin(intake: Intake) -> TestClient:
    """The client of harriet, an administrator; peter is an attorney."""
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    intake.user("Peter")
    return intake.client


def entries(admin: TestClient, query: str = "") -> list[dict[str, Any]]:
    answer = admin.get(f"/internal/audit?{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def told(admin: TestClient, query: str = "") -> list[tuple[str, str | None, str | None, str | None]]:
    return [(one["action"], one["user"], one["subject"], one["detail"]) for one in entries(admin, query)]


def log_in(intake: Intake, username: str, password: str = PASSWORD) -> int:
    body = {"username": username, "password": password}
    return intake.client.post("/internal/auth/login", json=body, headers={"Authorization": ""}).status_code


def test_logins_and_what_failed(admin: TestClient, intake: Intake) -> None:
    intake.user("bunter", disabled=True)
    assert log_in(intake, "PETER") == 200
    assert log_in(intake, "peter", "wrong password") == 401
    assert log_in(intake, "marked-secret", PASSWORD) == 401
    assert log_in(intake, "bunter") == 401
    assert told(admin) == [
        ("login", "Peter", None, None),
        ("login-failed", None, "Peter", None),
        ("login-failed", None, None, None),  # people type passwords there
        ("login-failed", None, "bunter", "disabled"),
    ]


def test_whatever_is_done_to_accounts(admin: TestClient, intake: Intake) -> None:
    body = {"username": "bunter", "password": NEW, "role": "admin"}
    assert admin.post("/internal/auth/register", json=body).status_code == 204
    for change in ({"role": "attorney"}, {"disabled": True}, {"disabled": False, "password": NEW + "s"}):
        assert admin.patch("/internal/users/bunter", json=change).status_code == 204
    assert admin.patch("/internal/users/bunter", json={"disabled": False, "role": "attorney"}).status_code == 204
    peter = intake.bearer(2)
    wrong = {"old": "wrong password", "new": NEW}
    assert admin.put("/internal/auth/password", json=wrong, headers=peter).status_code == 403
    assert admin.put("/internal/auth/password", json=wrong | {"old": PASSWORD}, headers=peter).status_code == 200
    accounts.set_password(intake.database, username="peter", password=PASSWORD)
    assert told(admin) == [
        ("registration", "harriet", "bunter", "admin"),
        ("role-change", "harriet", "bunter", "admin to attorney"),
        ("disabled", "harriet", "bunter", None),
        ("enabled", "harriet", "bunter", None),
        ("password", "harriet", "bunter", "reset"),
        ("login-failed", "Peter", "Peter", "old password"),
        ("password", "Peter", "Peter", "own"),
        ("password", None, "Peter", "on the server"),
    ], "what was so already is no change"


def test_what_is_refused_leaves_no_trace_of_a_change(admin: TestClient, intake: Intake) -> None:
    assert admin.patch("/internal/users/harriet", json={"disabled": True}).status_code == 409
    body = {"username": "PETER", "password": NEW}
    assert admin.post("/internal/auth/register", json=body).status_code == 409
    assert admin.patch("/internal/users/peter", json={"password": "password"}).status_code == 422
    assert intake.count(audit) == 0


def test_who_registers_by_oneself(start: Callable[..., Intake]) -> None:
    intake = start(open_registration=True)
    body = {"username": "bunter", "password": NEW}
    assert intake.client.post("/internal/auth/register", json=body).status_code == 204
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    assert told(intake.client) == [("registration", None, "bunter", "attorney")]


def test_an_entry_names_the_client_and_the_request(start: Callable[..., Intake]) -> None:
    from ipaddress import ip_network

    intake = start(trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("::1")))
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    with TestClient(intake.client.app, client=("127.0.0.1", 5000)) as behind_a_proxy:
        answer = behind_a_proxy.post(
            "/internal/auth/login",
            json={"username": "harriet", "password": PASSWORD},
            headers={"X-Forwarded-For": "2001:db8::7"},
        )
    [entry] = entries(intake.client)
    assert list(entry) == ["id", "at", "action", "user", "subject", "lead", "detail", "client", "request_id"]
    assert (entry["client"], entry["request_id"]) == ("2001:db8::7", answer.headers["X-Request-ID"])
    assert datetime.now(UTC) - datetime.fromisoformat(entry["at"]) < timedelta(minutes=1)


@pytest.fixture
def trail(admin: TestClient, intake: Intake) -> TestClient:
    """Five entries."""

    def work(connection: Any) -> None:
        harriet, peter = Origin(user_id=1), Origin(user_id=2)
        record(connection, Action.LOGIN, harriet)
        record(connection, Action.DOWNLOAD, peter, lead_id=7)
        record(connection, Action.DISABLED, harriet, subject_id=2)
        record(connection, Action.DOWNLOAD, harriet, lead_id=8)
        record(connection, Action.RETENTION, Origin(), lead_id=7)

    intake.write(work)
    return admin


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("user=PETER", [2, 3]),
        ("user=harriet", [1, 3, 4]),
        ("action=download", [2, 4]),
        ("action=login&action=retention", [1, 5]),
        ("lead=7", [2, 5]),
        ("lead=7&user=peter&action=download", [2]),
        ("lead=99", []),
        ("since=2020-01-01T00:00:00Z&until=9000-01-01T00:00:00Z", [1, 2, 3, 4, 5]),
        ("since=9000-01-01T00:00:00Z", []),
        ("until=2020-01-01T00:00:00%2B01:00", []),
    ],
)
def test_filters(trail: TestClient, query: str, ids: list[int]) -> None:
    assert [entry["id"] for entry in entries(trail, query)] == ids


def test_moments_bound_it(trail: TestClient) -> None:
    at = entries(trail, "limit=1")[0]["at"]
    assert all(entry["at"] >= at for entry in entries(trail, f"since={at}"))
    assert all(entry["at"] < at for entry in entries(trail, f"until={at}"))


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages(trail: TestClient, order: str) -> None:
    seen, path = [], f"?limit=2&order={order}&until=9000-01-01T00:00:00Z"
    while path:
        answer = trail.get(f"/internal/audit{path}")
        seen += [entry["id"] for entry in answer.json()]
        path = answer.links.get("next", {}).get("url", "")
    assert seen == ([1, 2, 3, 4, 5] if order == "asc" else [5, 4, 3, 2, 1])


@pytest.mark.parametrize("query", ["limit=0", "action=x", "lead=0", "since=today", "user=%00", "order=up", "name=x"])
def test_a_query_that_can_not_be_used(admin: TestClient, query: str) -> None:
    answer = admin.get(f"/internal/audit?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(query.partition("=")[0])


def test_who_is_not_there_is_not_found(admin: TestClient) -> None:
    answer = admin.get("/internal/audit?user=nobody")
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no user 'nobody'")


def test_it_is_for_administrators(intake: Intake, attorney: TestClient) -> None:
    assert attorney.get("/internal/audit").status_code == 403


def test_an_entry_is_not_replaced(admin: TestClient, intake: Intake) -> None:
    assert log_in(intake, "peter", "wrong password") == 401
    [entry] = entries(admin)
    row = {"id": entry["id"], "action": "forged"}
    forged = insert(audit).values(row)
    if intake.settings.sqlite_file is not None:
        forged = forged.prefix_with("OR REPLACE")
    with pytest.raises(IntegrityError):
        intake.write(lambda connection: connection.execute(forged))
    assert entries(admin) == [entry]

"""GET /internal/audit, and the recorded entries."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from starlette.testclient import TestClient

from intake.audit import Action, Actor, record
from intake.database.clock import Now
from intake.database.schema import audit, cv, outbox_mail
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


def summary(admin: TestClient, query: str = "") -> list[tuple[str, str | None, str | None, str | None]]:
    return [(one["action"], one["user"], one["subject"], one["detail"]) for one in entries(admin, query)]


def log_in(intake: Intake, username: str, password: str = PASSWORD) -> int:
    body = {"username": username, "password": password}
    return intake.client.post("/internal/auth/login", json=body, headers={"Authorization": ""}).status_code


def test_successful_and_failed_logins(admin: TestClient, intake: Intake) -> None:
    intake.user("bunter", disabled=True)
    assert log_in(intake, "PETER") == 200
    assert log_in(intake, "peter", "wrong password") == 401
    assert log_in(intake, "marked-secret", PASSWORD) == 401
    assert log_in(intake, "bunter") == 401
    assert summary(admin) == [
        ("login", "Peter", None, None),
        ("login-failed", None, "Peter", None),
        ("login-failed", None, None, None),  # people type passwords there
        ("login-failed", None, "bunter", "disabled"),
    ]


def test_changes_of_accounts(admin: TestClient, intake: Intake) -> None:
    body = {"username": "bunter", "password": NEW, "role": "admin"}
    assert admin.post("/internal/auth/register", json=body).status_code == 204
    for change in ({"role": "attorney"}, {"disabled": True}, {"disabled": False, "password": NEW + "s"}):
        assert admin.patch("/internal/users/bunter", json=change).status_code == 204
    assert admin.patch("/internal/users/bunter", json={"disabled": False, "role": "attorney"}).status_code == 204
    peter = intake.bearer(2)
    wrong = {"old": "wrong password", "new": NEW}
    assert admin.put("/internal/auth/password", json=wrong, headers=peter).status_code == 403
    assert admin.put("/internal/auth/password", json=wrong | {"old": PASSWORD}, headers=peter).status_code == 200
    accounts.update_user(intake.database, username="peter", password=PASSWORD)
    assert summary(admin) == [
        ("registration", "harriet", "bunter", "admin"),
        ("role-change", "harriet", "bunter", "admin to attorney"),
        ("disabled", "harriet", "bunter", None),
        ("enabled", "harriet", "bunter", None),
        ("password", "harriet", "bunter", "reset"),
        ("login-failed", "Peter", "Peter", "old password"),
        ("password", "Peter", "Peter", "own"),
        ("password", None, "Peter", "on the server"),
    ], "an unchanged role is not recorded"


def test_a_rejected_change_is_not_recorded(admin: TestClient, intake: Intake) -> None:
    assert admin.patch("/internal/users/harriet", json={"disabled": True}).status_code == 409
    body = {"username": "PETER", "password": NEW}
    assert admin.post("/internal/auth/register", json=body).status_code == 409
    assert admin.patch("/internal/users/peter", json={"password": "password"}).status_code == 422
    assert intake.count(audit) == 0


def test_open_registration_has_no_actor(start: Callable[..., Intake]) -> None:
    intake = start(open_registration=True)
    body = {"username": "bunter", "password": NEW}
    assert intake.client.post("/internal/auth/register", json=body).status_code == 204
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    assert summary(intake.client) == [("registration", None, "bunter", "attorney")]


def test_an_entry_names_the_client_and_the_request(start: Callable[..., Intake]) -> None:
    from ipaddress import ip_network

    intake = start(trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("::1")))
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    with TestClient(intake.client.app, client=("127.0.0.1", 5000)) as behind_a_proxy:
        answer = behind_a_proxy.post(
            "/internal/auth/login",
            json={"username": "harriet", "password": PASSWORD},
            headers={"X-Forwarded-For": "2001:db8::7", "X-Request-ID": "f" * 64},
        )
    [entry] = entries(intake.client)
    assert list(entry) == ["id", "at", "action", "user", "subject", "lead", "detail", "client", "request_id"]
    assert (entry["client"], entry["request_id"]) == ("2001:db8::7", answer.headers["X-Request-ID"])
    assert entry["request_id"] == "f" * 64
    assert datetime.now(UTC) - datetime.fromisoformat(entry["at"]) < timedelta(minutes=1)


@pytest.fixture
def trail(admin: TestClient, intake: Intake) -> TestClient:
    """Five entries."""

    def work(connection: Any) -> None:
        harriet, peter = Actor(user_id=1), Actor(user_id=2)
        record(connection, Action.LOGIN, harriet)
        record(connection, Action.DOWNLOAD, peter, lead_id=7)
        record(connection, Action.DISABLED, harriet, subject_id=2)
        record(connection, Action.DOWNLOAD, harriet, lead_id=8)
        record(connection, Action.RETENTION, Actor(), lead_id=7)

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


def test_since_and_until(trail: TestClient) -> None:
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
def test_invalid_queries(admin: TestClient, query: str) -> None:
    answer = admin.get(f"/internal/audit?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(query.partition("=")[0])


def test_an_unknown_user_is_not_found(admin: TestClient) -> None:
    answer = admin.get("/internal/audit?user=nobody")
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no user 'nobody'")


def test_only_administrators_are_allowed(intake: Intake, attorney: TestClient) -> None:
    assert attorney.get("/internal/audit").status_code == 403


def test_entries_can_not_be_replaced(admin: TestClient, intake: Intake) -> None:
    assert log_in(intake, "peter", "wrong password") == 401
    [entry] = entries(admin)
    row = {"id": entry["id"], "action": "forged"}
    forged = insert(audit).values(row)
    if intake.settings.sqlite_file is not None:
        forged = forged.prefix_with("OR REPLACE")
    with pytest.raises(IntegrityError):
        intake.write(lambda connection: connection.execute(forged))
    assert entries(admin) == [entry]


def of_lead(admin: TestClient, query: str = "") -> list[tuple[str, str | None, int | None, str | None]]:
    return [(one["action"], one["user"], one["lead"], one["detail"]) for one in entries(admin, query)]


def test_a_manual_creation_names_its_user_in_audit_and_history(admin: TestClient) -> None:
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", "state": "ENGAGED", "external_id": "x"}
    ids = [admin.post("/internal/leads/", data=form, files={"CV": ("cv.pdf", b"a CV")}).json()["id"] for _ in range(2)]
    assert ids[0] == ids[1]
    assert of_lead(admin) == [("lead-creation", "harriet", ids[0], "ENGAGED")], "a lead that exists is not created"
    assert admin.patch(f"/internal/leads/{ids[0]}", json={"status": "DECLINED"}).status_code == 204
    events = admin.get(f"/internal/leads/{ids[0]}/history").json()
    assert [(one["user"], one["from"], one["to"], one["change"]) for one in events] == [
        ("harriet", None, "ENGAGED", None),
        ("harriet", "ENGAGED", "DECLINED", None),
    ]
    [entry] = entries(admin)
    assert events[0]["at"] == entry["at"]


def test_a_submission_has_no_actor(admin: TestClient, intake: Intake) -> None:
    number = intake.submitted()
    assert admin.get(f"/internal/leads/{number}/history").json() == []
    assert entries(admin) == []


def test_a_full_list_is_recorded_once_and_pages_are_not(admin: TestClient, intake: Intake) -> None:
    for _ in range(300):  # more than the first chunk
        intake.write(lambda c: c.exec_driver_sql(LEAD))
    assert len(admin.get("/internal/leads/").json()) == 300
    query = {"email": "marked*", "state": ["PENDING", "DECLINED"], "order": "desc"}
    assert admin.get("/internal/leads/", params=query).status_code == 200
    assert admin.get("/internal/leads/?limit=1000").status_code == 200
    assert admin.get("/internal/leads/?limit=5&after=3").status_code == 200
    assert admin.get("/internal/leads/?state=LOST").status_code == 422
    assert of_lead(admin) == [("list", "harriet", None, None), ("list", "harriet", None, "by email, state")]
    assert "marked" not in str(entries(admin)), "an entry names no person"


LEAD = (
    'INSERT INTO lead (email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, f_name_key,'
    " l_name_key) VALUES ('a', 'a', 'a', 'a', 'PENDING', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 'a', 'a', 'a')"
)


def test_each_read_of_mail_recipients_is_recorded(admin: TestClient, intake: Intake) -> None:
    number = intake.submitted()
    assert admin.get("/internal/mail?limit=1").status_code == 200
    assert admin.get(f"/internal/mail?lead={number}&state=queued&after=0").status_code == 200
    assert admin.get("/internal/mail?state=lost").status_code == 422
    assert of_lead(admin) == [
        ("mail-list", "harriet", None, None),
        ("mail-list", "harriet", number, "by state"),
    ]


def test_erasure_previews_are_recorded(admin: TestClient, intake: Intake) -> None:
    ids = [intake.submitted() for _ in range(2)]
    body = {"email": "ADA@example.com", "dry_run": True}
    assert admin.post("/internal/persons/erase", json=body).status_code == 200
    unknown = {"email": "nobody@example.com", "dry_run": True}
    assert admin.post("/internal/persons/erase", json=unknown).status_code == 404
    assert of_lead(admin) == [("erasure-preview", "harriet", number, None) for number in ids]
    assert "ada" not in str(entries(admin)).lower()


def test_mail_retries_are_recorded(admin: TestClient, intake: Intake) -> None:
    number = intake.submitted()
    intake.write(lambda c: c.execute(update(outbox_mail).where(outbox_mail.c.id < 3).values(state="failed")))
    body = {"ids": [2, 1, 3, 99, 1]}
    assert admin.post("/internal/mail/retry", json=body).status_code == 200
    assert of_lead(admin) == [("mail-retry", "harriet", number, f"mail {mail}") for mail in (1, 2)]


def ranges(intake: Intake, path: str, user: int, count: int = 4) -> None:
    for start in range(count):
        headers = {"Range": f"bytes={start}-{start}", **intake.bearer(user)}
        assert intake.client.get(path, headers=headers).status_code == 206


def test_ranges_are_recorded_once_per_user_lead_and_hour(admin: TestClient, intake: Intake) -> None:
    first, second = (f"/internal/leads/{intake.submitted()}/cv-download" for _ in range(2))
    for path, user in ((first, 1), (first, 2), (second, 1)):
        ranges(intake, path, user)
    series = [("download", "harriet", 1, None), ("download", "Peter", 1, None), ("download", "harriet", 2, None)]
    assert of_lead(admin) == series
    assert admin.get(first).status_code == admin.get(first).status_code == 200
    assert len(entries(admin)) == 5, "each whole download is an entry"


def test_a_range_is_recorded_again_after_an_hour(admin: TestClient, intake: Intake) -> None:
    path = f"/internal/leads/{intake.submitted()}/cv-download"
    old = insert(audit).values(action="download", user_id=1, lead_id=1, at=Now(plus_s=-3601))
    intake.write(lambda c: c.execute(old))
    ranges(intake, path, 1)
    assert len(entries(admin)) == 2


def test_ranges_of_a_quarantined_cv_are_recorded_as_such(admin: TestClient, intake: Intake) -> None:
    path = f"/internal/leads/{intake.submitted()}/cv-download"
    ranges(intake, path, 1)
    intake.write(lambda c: c.execute(update(cv).values(scan_state="quarantined", signature="Eicar")))
    ranges(intake, f"{path}?force=true", 1)
    assert [(one["action"], one["detail"]) for one in entries(admin)] == [
        ("download", None),
        ("quarantine-download", "Eicar"),
    ]


def test_concurrent_ranges_on_two_replicas_are_recorded_once(admin: TestClient, intake: Intake, twin: Intake) -> None:
    path = f"/internal/leads/{intake.submitted()}/cv-download"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ranges((intake, twin)[n % 2], path, 1, count=1), range(24)))
    assert len(entries(admin)) == 1


@pytest.mark.parametrize("path", ["/internal/leads/", "/internal/mail"])
def test_data_is_not_sent_if_it_can_not_be_recorded(admin: TestClient, intake: Intake, path: str) -> None:
    intake.submitted(email="marked@example.com")
    intake.write(lambda c: c.exec_driver_sql("ALTER TABLE audit RENAME TO away"))
    answer = admin.get(path)
    assert answer.status_code in (500, 503)
    assert "marked" not in answer.text

"""POST /internal/leads/: walk-ins, and imports from another system."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from httpx2 import Response
from sqlalchemy import select
from starlette.testclient import TestClient

from intake.database import transactions
from intake.database.schema import cv, cv_content, lead, lead_event, outbox_mail
from tests.conftest import Intake


def enter(client: TestClient, path: str = "/internal/leads/", **fields: Any) -> Response:
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", **fields}
    file = form.pop("CV", ("cv.pdf", b"%PDF-1.4 a CV"))
    return client.post(path, data=form, files={"CV": file})


@pytest.mark.parametrize("path", ["/internal/leads", "/internal/leads/"])
def test_a_manual_lead_sends_no_mail(attorney: TestClient, intake: Intake, path: str) -> None:
    answer = enter(attorney, path)
    assert answer.status_code == 201
    where = answer.request.url.join(answer.headers["Location"])
    assert answer.json() == attorney.get(where).json()
    assert answer.json()["state"] == "PENDING"
    assert answer.json()["CV"]["size"] == 13
    assert attorney.get(f"/internal/leads/{answer.json()['id']}/cv-download").content == b"%PDF-1.4 a CV"
    assert intake.count(outbox_mail) == intake.count(lead_event) == 0


def test_notify_queues_the_mails_of_a_submission(attorney: TestClient, intake: Intake) -> None:
    assert enter(attorney, notify="true").status_code == 201
    kinds = intake.read(lambda c: list(c.scalars(select(outbox_mail.c.kind).order_by(outbox_mail.c.id))))
    assert kinds == ["confirmation", "alert", "alert"]


def test_the_initial_state_can_be_set(attorney: TestClient) -> None:
    assert enter(attorney, state="ENGAGED").json()["state"] == "ENGAGED"


def test_an_external_id_is_saved_once_and_not_updated(attorney: TestClient, intake: Intake) -> None:
    first = enter(attorney, external_id="crm 7")
    again = enter(attorney, external_id="crm 7", f_name="Grace", state="ENGAGED", notify="true", CV=("x", b"x"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert intake.count(lead) == intake.count(cv) == 1
    assert intake.count(outbox_mail) == 0
    assert enter(attorney, external_id="CRM 7").status_code == 201, "ids are compared exactly"


def test_concurrent_creations_save_one_lead_and_return_it(attorney: TestClient, intake: Intake) -> None:
    content = bytes(300_000)
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: enter(attorney, external_id=str(n % 4), notify="true", CV=("c", content)), range(32))
        )
    assert sorted(answer.status_code for answer in answers) == [200] * 28 + [201] * 4
    for number in range(4):
        assert len({answer.json()["id"] for answer in answers[number::4]}) == 1
    assert intake.count(lead) == intake.count(cv) == intake.count(cv_content) == 4
    assert intake.count(outbox_mail) == 12


def test_an_external_id_of_another_person_is_409_and_nothing_is_saved(
    start: Callable[..., Intake], tmp_path: Path
) -> None:
    intake = start(cv_store=(tmp_path / "CVs").as_uri())
    intake.client.headers.update(intake.bearer(intake.user()))
    assert enter(intake.client, external_id="x", email="ada@straße.example").status_code == 201
    for email in ("grace@example.com", "ada@strasse.example"):
        answer = enter(intake.client, external_id="x", email=email)
        assert (answer.status_code, answer.json()["title"]) == (409, "External id taken")
        [error] = answer.json()["errors"]
        assert (error["field"], error["code"], error["params"]) == ("external_id", "another_person", {"lead_id": 1})
        assert error["detail"] == "x belongs to lead 1, ada@straße.example; use another id"
    assert intake.count(lead) == len(list((tmp_path / "CVs").iterdir())) == 1
    assert enter(intake.client, external_id="x", email="ADA@STRAßE.example").status_code == 200


def test_concurrent_creations_for_two_people_save_one_and_refuse_the_other(
    start: Callable[..., Intake], tmp_path: Path
) -> None:
    intake = start(cv_store=(tmp_path / "CVs").as_uri())
    intake.client.headers.update(intake.bearer(intake.user()))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: enter(intake.client, external_id="x", email=f"{n % 2}@x.example"), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [201] + [409] * 4
    assert intake.count(lead) == len(list((tmp_path / "CVs").iterdir())) == 1


def test_a_lock_timeout_is_503_and_a_retry_succeeds(
    start: Callable[..., Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "SHORT_LOCK_TIMEOUT_S", 1)
    intake = start()
    intake.client.headers.update(intake.bearer(intake.user()))
    if intake.settings.sqlite_file is not None:
        return  # SQLite has one writer at a time
    connection = psycopg2.connect(intake.settings.database_url.replace("+psycopg2", ""))
    connection.cursor().execute(
        'INSERT INTO lead (email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, f_name_key,'
        " l_name_key, external_id) VALUES ('a', 'a', 'a', 'a', 'PENDING', now(), now(), 'a', 'a', 'a', 'x')"
    )
    answer = enter(intake.client, external_id="x")
    assert (answer.status_code, bool(answer.headers["Retry-After"])) == (503, True)
    connection.rollback()
    connection.close()
    assert enter(intake.client, external_id="x").status_code == 201


def test_an_erased_leads_external_id_can_be_used_again(attorney: TestClient, intake: Intake) -> None:
    first = enter(attorney, external_id="x").json()["id"]
    intake.write(lambda c: c.execute(lead.delete()))
    again = enter(attorney, external_id="x")
    assert again.status_code == 201
    assert again.json()["id"] > first


def test_a_repeated_creation_stores_no_cv(start: Callable[..., Intake], tmp_path: Path) -> None:
    intake = start(cv_store=(tmp_path / "CVs").as_uri())
    intake.client.headers.update(intake.bearer(intake.user()))
    assert [enter(intake.client, external_id="x").status_code for _ in range(3)] == [201, 200, 200]
    assert len(list((tmp_path / "CVs").iterdir())) == 1


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("external_id", "", "must have 1 to 255 printable characters"),
        ("external_id", "x" * 256, "must have 1 to 255 printable characters"),
        ("external_id", "a\tb", "must have 1 to 255 printable characters"),
        ("external_id", "a\0", "must have 1 to 255 printable characters"),
        ("state", "LOST", "'LOST' is not a state; the states are PENDING, REACHED_OUT, ENGAGED, DECLINED"),
        (
            "state",
            "pending",
            "'pending' is not a state (did you mean PENDING?); the states are PENDING, REACHED_OUT, ENGAGED, DECLINED",
        ),
        ("state", "", "'' is not a state; the states are PENDING, REACHED_OUT, ENGAGED, DECLINED"),
        ("notify", "yes", "must be true or false"),
        ("note", "x", "unknown field; leave it out"),
        ("email", "ada", "must be an email address, such as ada@example.com"),
    ],
)
def test_an_invalid_field_is_named(attorney: TestClient, intake: Intake, field: str, value: str, detail: str) -> None:
    answer = enter(attorney, **{field: value})
    assert answer.status_code == 422
    assert [(error["field"], error["detail"]) for error in answer.json()["errors"]] == [(field, detail)]
    assert intake.count(lead) == 0


def test_all_invalid_fields_are_named(attorney: TestClient) -> None:
    answer = enter(attorney, email="", external_id="", state="LOST", notify="1", CV=("cv.pdf", b""))
    named = [fault["field"] for fault in answer.json()["errors"]]
    assert named == ["email", "CV", "external_id", "state", "notify"]


def test_only_users_are_allowed(intake: Intake) -> None:
    assert enter(intake.client).status_code == 401
    assert intake.count(lead) == 0


def test_a_cv_over_the_limit_is_rejected(start: Callable[..., Intake]) -> None:
    intake = start(max_cv_bytes=1000)
    intake.client.headers.update(intake.bearer(intake.user()))
    assert enter(intake.client, CV=("x", bytes(1001))).status_code == 413
    assert intake.count(lead) == 0


def test_manual_leads_are_counted(attorney: TestClient, intake: Intake) -> None:
    enter(attorney, external_id="x")
    enter(attorney, external_id="x")
    assert "intake_leads_total 1.0" in intake.client.get("/metrics").text


def test_a_dry_run_validates_and_saves_nothing(start: Callable[..., Intake], tmp_path: Path) -> None:
    intake = start(cv_store=(tmp_path / "CVs").as_uri(), cv_extensions=("pdf",))
    client = intake.client
    client.headers.update(intake.bearer(intake.user()))
    first = enter(client, external_id="x").json()
    answer = enter(client, dry_run="true", external_id="y", notify="true", state="ENGAGED")
    assert (answer.status_code, answer.content) == (204, b"")
    known = enter(client, dry_run="true", external_id="x", email="ADA@example.com")
    assert (known.status_code, known.json()) == (200, first)
    assert enter(client, dry_run="true", external_id="x", email="grace@example.com").status_code == 409
    for fields in (
        {"state": "LOST"},
        {"email": "ada"},
        {"external_id": ""},
        {"CV": ("cv.exe", b"a CV")},
        {"CV": ("cv.pdf", b"MZ" + bytes(100))},
        {"CV": ("cv.pdf", b"")},
    ):
        real, dry = (enter(client, **fields, dry_run=text) for text in ("false", "true"))
        assert (real.status_code, real.json()["errors"]) == (422, dry.json()["errors"])
    [error] = enter(client, dry_run="yes").json()["errors"]
    assert (error["field"], error["detail"]) == ("dry_run", "must be true or false")
    assert intake.count(lead) == intake.count(cv) == 1
    assert intake.count(outbox_mail) == 0
    assert len(list((tmp_path / "CVs").iterdir())) == 1
    assert "intake_leads_total 1.0" in client.get("/metrics").text


def test_a_dry_run_has_the_same_limits(start: Callable[..., Intake]) -> None:
    intake = start(max_cv_bytes=1000)
    assert enter(intake.client, dry_run="true").status_code == 401
    intake.client.headers.update(intake.bearer(intake.user()))
    assert enter(intake.client, dry_run="true", CV=("x", bytes(1001))).status_code == 413

"""PATCH /internal/leads/<id>: states, and their history."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from intake.database.schema import lead, lead_event
from intake.settings import Settings
from tests.conftest import Intake


def state_of(intake: Intake, lead_id: int) -> str:
    return str(intake.read(lambda c: c.execute(select(lead.c.state).where(lead.c.id == lead_id)).scalar_one()))


def test_a_state_change_is_saved_with_history(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    before = intake.read(lambda c: c.execute(select(lead)).mappings().one())
    answer = attorney.patch(f"/internal/leads/{lead_id}", json={"status": "REACHED_OUT"})
    assert (answer.status_code, answer.content) == (204, b"")
    after = intake.read(lambda c: c.execute(select(lead)).mappings().one())
    [event] = intake.read(lambda c: c.execute(select(lead_event)).mappings().all())
    assert (event["lead_id"], event["from_state"], event["to_state"]) == (lead_id, "PENDING", "REACHED_OUT")
    assert event["user_id"] == 1
    assert after["last_event_id"] == event["id"]
    assert after["state"] == "REACHED_OUT"
    assert after["state_since"] > before["state_since"]


def test_any_state_may_follow_any_other(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    for state in ("DECLINED", "PENDING", "ENGAGED", "REACHED_OUT"):
        assert attorney.patch(f"/internal/leads/{lead_id}", json={"status": state}).status_code == 204
        assert state_of(intake, lead_id) == state
    assert intake.count(lead_event) == 4


def test_an_unchanged_state_adds_no_event(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    assert attorney.patch(f"/internal/leads/{lead_id}", json={"status": "PENDING"}).status_code == 204
    assert intake.count(lead_event) == 0


def test_from_another_state_is_a_conflict(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    change = {"status": "ENGAGED", "from": "REACHED_OUT"}
    answer = attorney.patch(f"/internal/leads/{lead_id}", json=change)
    assert answer.status_code == 409
    assert answer.json()["detail"] == f"lead {lead_id} is in state PENDING, not REACHED_OUT"
    assert (state_of(intake, lead_id), intake.count(lead_event)) == ("PENDING", 0)


def test_claiming_a_lead_twice_is_a_conflict(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    change = {"status": "REACHED_OUT", "from": "PENDING"}
    assert [attorney.patch(f"/internal/leads/{lead_id}", json=change).status_code for _ in range(2)] == [204, 409]
    assert intake.count(lead_event) == 1


def test_only_one_of_many_concurrent_claims_succeeds(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    claimants = [intake.bearer(intake.user(f"claimant{n}")) for n in range(12)]

    def claim(headers: dict[str, str]) -> int:
        change = {"status": "REACHED_OUT", "from": "PENDING"}
        return attorney.patch(f"/internal/leads/{lead_id}", json=change, headers=headers).status_code

    with ThreadPoolExecutor(len(claimants)) as pool:
        statuses = sorted(pool.map(claim, claimants))
    assert statuses == [204] + [409] * 11
    assert intake.count(lead_event) == 1


def test_a_change_sees_the_change_it_waited_for(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    with other_connection(intake.settings) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN" if intake.settings.sqlite_file is None else "BEGIN IMMEDIATE")
        other.execute("UPDATE lead SET state = 'ENGAGED'")
        change = {"status": "REACHED_OUT", "from": "PENDING"}
        answer = pool.submit(attorney.patch, f"/internal/leads/{lead_id}", json=change)
        time.sleep(0.5)
        other.execute("COMMIT")
        assert answer.result().status_code == 409
    assert state_of(intake, lead_id) == "ENGAGED"


@contextmanager
def other_connection(settings: Settings) -> Iterator[Any]:
    """Yield a cursor of a connection outside the service."""
    if settings.sqlite_file is not None:
        connection: Any = sqlite3.connect(settings.sqlite_file, isolation_level=None)
    else:
        connection = psycopg2.connect(settings.database_url.replace("+psycopg2", ""))
        connection.autocommit = True
    try:
        yield connection.cursor()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "status"),
        ({"status": "LOST"}, "status"),
        ({"status": "engaged"}, "status"),
        ({"status": None}, "status"),
        ({"status": 3}, "status"),
        ({"status": "EN\0GAGED"}, "status"),
        ({"status": "ENGAGED", "from": "LOST"}, "from"),
        ({"status": "ENGAGED", "from": ""}, "from"),
        ({"status": "ENGAGED", "form": "PENDING"}, "form"),
        ([], "body"),
        ("ENGAGED", "body"),
    ],
)
def test_an_invalid_body_names_the_field(attorney: TestClient, intake: Intake, body: Any, field: str) -> None:
    lead_id = intake.submitted()
    answer = attorney.patch(f"/internal/leads/{lead_id}", json=body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert intake.count(lead_event) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"status": NaN}',
        b'{"status": "\\ud800"}',
        b"[" * 50_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_broken_json_is_400_or_422(attorney: TestClient, intake: Intake, body: bytes) -> None:
    lead_id = intake.submitted()
    answer = attorney.patch(f"/internal/leads/{lead_id}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["detail"]
    assert intake.count(lead_event) == 0


def test_another_content_type_and_a_large_body(attorney: TestClient, intake: Intake) -> None:
    path = f"/internal/leads/{intake.submitted()}"
    assert attorney.patch(path, content=b"status=ENGAGED").status_code == 415
    large = attorney.patch(path, json={"status": "x" * 2**21})
    assert large.status_code == 413

"""GET /internal/stats."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Select, insert, text, update
from starlette.testclient import TestClient

from intake.database.schema import lead, outbox_mail
from intake.leads import statistics
from tests.conftest import Intake
from tests.postgres import maintenance


def at(intake: Intake, lead_id: int, timestamp: datetime) -> None:
    intake.write(lambda c: c.execute(update(lead).where(lead.c.id == lead_id).values(created_at=timestamp)))


def test_a_service_without_leads(attorney: TestClient) -> None:
    answer = attorney.get("/internal/stats").json()
    assert list(answer) == ["total", "suspect", "states", "days", "oldest_waiting", "mails", "state_keys"]
    assert answer["states"] == {"PENDING": 0, "REACHED_OUT": 0, "ENGAGED": 0, "DECLINED": 0}
    assert (answer["total"], answer["oldest_waiting"], answer["mails"]) == (0, None, {"queued": 0, "failed": 0})
    assert set(answer["days"].values()) == {0}
    assert answer["state_keys"] == {}


def test_keys_of_states(start: Callable[..., Intake]) -> None:
    intake = start(states=("NEW", "REVIEW"), state_keys=(("REVIEW", "v"),))
    answer = intake.client.get("/internal/stats", headers=intake.bearer(intake.user()))
    assert answer.json()["state_keys"] == {"REVIEW": "v"}


def test_states_are_in_order(start: Callable[..., Intake]) -> None:
    intake = start(states=("NEW", "CALLED", "OLD"))
    ids = [intake.submitted(email=f"{n}@example.com") for n in range(3)]
    headers = intake.bearer(intake.user())
    assert intake.client.patch(f"/internal/leads/{ids[0]}", json={"status": "OLD"}, headers=headers).is_success
    answer = intake.client.get("/internal/stats", headers=headers).json()
    assert list(answer["states"].items()) == [("NEW", 2), ("CALLED", 0), ("OLD", 1)]
    assert answer["total"] == 3
    assert answer["oldest_waiting"]["id"] == ids[1]


def test_days_are_in_utc_and_include_empty_ones(intake: Intake, attorney: TestClient) -> None:
    ids = [intake.submitted(email=f"{n}@example.com") for n in range(5)]
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    zone = today.astimezone(datetime.now().astimezone().tzinfo)  # the same time in another zone
    timestamps = [
        today,
        today - timedelta(microseconds=1),
        zone - timedelta(days=29),
        today - timedelta(days=29, hours=1),
    ]
    for lead_id, timestamp in zip(ids, timestamps, strict=False):
        at(intake, lead_id, timestamp)
    days = attorney.get("/internal/stats").json()["days"]
    expected = [(today - timedelta(days=ago)).date().isoformat() for ago in reversed(range(30))]
    assert list(days) == expected
    assert {day: number for day, number in days.items() if number} == {expected[0]: 1, expected[28]: 1, expected[29]: 2}


def test_the_oldest_waiting_lead_and_unsent_mails(intake: Intake, attorney: TestClient) -> None:
    first, second = intake.submitted(), intake.submitted(email="b@example.com")
    attorney.patch(f"/internal/leads/{first}", json={"status": "ENGAGED"})
    intake.write(lambda c: c.execute(update(outbox_mail).where(outbox_mail.c.lead_id == second).values(state="failed")))
    answer = attorney.get("/internal/stats").json()
    shown = attorney.get(f"/internal/leads/{second}").json()
    assert answer["oldest_waiting"] == {"id": second, "created_at": shown["created_at"]}
    assert answer["mails"] == {"queued": 3, "failed": 3}


def test_only_users_are_allowed(intake: Intake) -> None:
    assert intake.client.get("/internal/stats").status_code == 401


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (statistics.by_state(), "ix_lead_state"),
        (statistics.by_day(datetime.now(UTC) - timedelta(days=2)), "ix_lead_created_at"),
        (statistics.oldest_in("PENDING"), "ix_lead_state"),
    ],
)
def test_leads_are_counted_from_indexes(intake: Intake, query: Select[Any], index: str) -> None:
    many(intake)

    def explain(connection: Any) -> str:
        sql = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        how = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        return "\n".join(" ".join(map(str, row)) for row in connection.exec_driver_sql(f"{how} {sql}"))

    plan = intake.read(explain)
    assert index in plan
    assert "Seq Scan" not in plan
    assert not re.search(r"\b(cv|cv_content)\b", plan)


def many(intake: Intake) -> None:
    """Fill the table with 250 days of leads, so that query plans are realistic."""
    now = datetime.now(UTC)
    texts = ("email", "f_name", "l_name", "CV_name", "email_key", "f_name_key", "l_name_key")
    keys = dict.fromkeys(texts, "as long as names and addresses are")
    rows = [
        {**keys, "state": "ENGAGED" if n % 9 else "PENDING", "created_at": now - timedelta(hours=n)}
        for n in range(6000)
    ]
    intake.write(lambda c: c.execute(insert(lead), rows))
    if intake.read(lambda c: c.dialect.name) == "sqlite":
        intake.write(lambda c: c.execute(text("ANALYZE")))
        return
    with maintenance(intake.settings.database_url.replace("+psycopg2", "")) as cursor:
        cursor.execute("VACUUM ANALYZE lead")  # index-only scans need the visibility map

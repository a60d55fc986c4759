"""GET /internal/mail and POST /internal/mail/retry."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from intake.database.schema import outbox_mail
from intake.mail import outbox
from intake.mail.outbox import OutboxMessage
from tests.conftest import Intake


def claim(intake: Intake, *, limit: int) -> list[OutboxMessage]:
    return outbox.claim(intake.database, owner="test", limit=limit, alert_interval_s=0.0)


@pytest.fixture
def client(intake: Intake, attorney: TestClient) -> TestClient:
    """An attorney's client of a service with six mails for two leads: the first failed, the others queued."""
    for name in ("ada", "grace"):
        intake.submitted(email=f"{name}@example.com")
    [first] = claim(intake, limit=1)
    outbox.record_failure(intake.database, first, reason="550 no such user", delay_s=None)
    return attorney


def test_fields_of_a_mail(client: TestClient) -> None:
    first, second = client.get("/internal/mail?limit=2").json()
    assert list(first) == [
        *("id", "lead_id", "kind", "recipient", "state", "attempts", "last_error"),
        *("next_attempt_at", "created_at", "sent_at", "message_id", "digest_id"),
    ]
    assert (first["kind"], first["recipient"], first["state"]) == ("confirmation", "ada@example.com", "failed")
    assert (first["attempts"], first["last_error"], first["sent_at"]) == (1, "550 no such user", None)
    assert (second["kind"], second["state"], second["last_error"]) == ("alert", "queued", None)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 6),
        ("state=failed", 1),
        ("state=queued", 5),
        ("state=queued&state=failed", 6),
        ("state=owed&state=failed", 6),
        ("state=dead", 1),
        ("state=sent", 0),
        ("kind=confirmation", 2),
        ("lead=1", 3),
        ("lead=2&kind=alert", 2),
        ("lead=3", 0),
    ],
)
def test_filters(client: TestClient, query: str, count: int) -> None:
    assert len(client.get(f"/internal/mail?{query}").json()) == count


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages(client: TestClient, order: str) -> None:
    seen: list[int] = []
    url = f"/internal/mail/?limit=2&order={order}"
    while url:
        answer = client.get(url)
        seen += [mail["id"] for mail in answer.json()]
        link = answer.links.get("next", {}).get("url", "")
        url = link and f"/internal/mail/{link}"
    assert seen == sorted(seen, reverse=order == "desc")
    assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize("query", ["state=lost", "kind=x", "lead=x", "lead=0", "limit=1001", "x=1", f"lead={2**63}"])
def test_invalid_queries(client: TestClient, query: str) -> None:
    assert client.get(f"/internal/mail?{query}").status_code == 422


def test_only_administrators_retry(client: TestClient, intake: Intake) -> None:
    body = {"ids": [1, 2, 999, 1]}
    refused = client.post("/internal/mail/retry", json=body)
    assert (refused.status_code, refused.json()["title"]) == (403, "Not allowed")
    admin = intake.bearer(intake.user("harriet", role="admin"))
    answer = client.post("/internal/mail/retry", json=body, headers=admin)
    assert answer.json() == {
        "results": [
            {"id": 1, "result": "revived"},
            {"id": 2, "result": "not_failed"},
            {"id": 999, "result": "missing"},
            {"id": 1, "result": "revived"},
        ]
    }
    mail = client.get("/internal/mail?limit=1").json()[0]
    assert (mail["state"], mail["attempts"]) == ("queued", 0)


def test_a_mailbox_that_had_a_confirmation_meanwhile_gets_no_other(client: TestClient, intake: Intake) -> None:
    """Failures free the mailbox, so that several confirmations to one can be queued, fail, and be retried."""
    intake.submitted(email="ada+1@example.com")
    [other] = [mail for mail in claim(intake, limit=20) if mail.recipient == "ada+1@example.com"]
    outbox.record_failure(intake.database, other, reason="554 no", delay_s=None)
    admin = intake.bearer(intake.user("harriet", role="admin"))
    answer = client.post("/internal/mail/retry", json={"ids": [other.id, 1]}, headers=admin).json()
    assert [one["result"] for one in answer["results"]] == ["suppressed", "revived"]
    mails = client.get("/internal/mail?kind=confirmation&limit=9").json()
    found = {mail["recipient"]: (mail["state"], mail["last_error"]) for mail in mails}
    assert found["ada@example.com"][0] == "queued"
    reason = "suppressed: its mailbox had a confirmation within INTAKE_CONFIRMATION_INTERVAL"
    assert found["ada+1@example.com"] == ("suppressed", reason)


def test_a_retried_mail_has_two_days_again(client: TestClient, intake: Intake) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    long_ago = update(outbox_mail).values(created_at=past, queued_since=past, next_attempt_at=past)
    intake.write(lambda c: c.execute(long_ago))
    assert claim(intake, limit=1)[0].age_s > 3e7
    admin = intake.bearer(intake.user("harriet", role="admin"))
    client.post("/internal/mail/retry", json={"ids": [1]}, headers=admin)
    revived = [mail for mail in claim(intake, limit=9) if mail.id == 1]
    assert revived[0].age_s < 60
    assert revived[0].created_at == past, "the message keeps its Date"


@pytest.mark.parametrize(
    "body", [{}, {"ids": "1"}, {"ids": [0]}, {"ids": ["x"]}, {"ids": [2**63]}, {"ids": [1] * 1001}]
)
def test_invalid_bodies(intake: Intake, body: object) -> None:
    admin = intake.bearer(intake.user("harriet", role="admin"))
    assert intake.client.post("/internal/mail/retry", json=body, headers=admin).status_code == 422

"""POST /leads/ with an Idempotency-Key: a retry creates no second lead."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest
from httpx2 import Response
from sqlalchemy import select, update

from intake.database import transactions
from intake.database.clock import Now
from intake.database.schema import audit, cv, lead, outbox_mail, submission_key
from intake.form.timestamps import FormKey
from intake.leads.submissions import KEY_TTL_S, delete_expired_keys
from tests.conftest import Intake


def submit(intake: Intake, key: str = "k1", **fields: Any) -> Response:
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", **fields}
    file = form.pop("CV", ("cv.pdf", b"%PDF-1.4 a CV"))
    return intake.client.post("/leads/", data=form, files={"CV": file}, headers={"Idempotency-Key": key})


def test_a_retry_changes_nothing(intake: Intake) -> None:
    assert [submit(intake).status_code for _ in range(3)] == [204, 204, 204]
    assert intake.count(lead) == intake.count(cv) == 1
    assert intake.count(outbox_mail) == 3
    key = intake.read(lambda c: c.execute(select(submission_key)).mappings().one())
    assert key["lead_id"] == 1


@pytest.mark.parametrize("change", [{"f_name": "A"}, {"CV": ("x.pdf", b"%PDF-1.4 a CV")}, {"CV": ("cv.pdf", b"x")}])
def test_another_submission_under_the_same_key_is_refused(intake: Intake, change: dict[str, Any]) -> None:
    assert submit(intake).status_code == 204
    answer = submit(intake, **change)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == ["Idempotency-Key"]
    assert intake.count(lead) == 1


def test_other_keys_other_addresses_and_no_key_are_other_submissions(intake: Intake) -> None:
    assert submit(intake).status_code == 204
    assert submit(intake, "k2").status_code == 204
    assert submit(intake, email="grace@example.com").status_code == 204
    assert intake.submit().status_code == intake.submit().status_code == 204
    assert submit(intake, email="ADA@example.COM").status_code == 422, "the same address, and another text"
    assert intake.count(lead) == 5


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_invalid_keys(intake: Intake, key: str) -> None:
    answer = submit(intake, key)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.text
    assert submit(intake, "x" * 255).status_code == 204


def test_of_concurrent_retries_one_is_saved(intake: Intake) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda _: submit(intake), range(16))]
    assert statuses == [204] * 16
    assert intake.count(lead) == intake.count(cv) == 1


def test_while_the_first_is_in_progress_the_second_is_409(
    start: Callable[..., Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "SHORT_LOCK_TIMEOUT_S", 1)
    intake = start()
    if intake.settings.sqlite_file is not None:
        return  # SQLite has one writer at a time
    connection = psycopg2.connect(intake.settings.database_url.replace("+psycopg2", ""))
    connection.cursor().execute(
        "INSERT INTO submission_key (email_key, key, content_sha256, created_at)"
        " VALUES ('ada@example.com', 'k1', 'x', now())"
    )
    answer = submit(intake)
    assert (answer.status_code, answer.json()["title"]) == (409, "Submission under way")
    other = submit(intake, "k2")
    assert other.status_code == 204
    released = threading.Timer(0.3, connection.rollback)
    released.start()
    assert submit(intake).status_code == 204, "the first was rolled back, so this one is saved"
    released.join()
    connection.close()


def test_a_submission_that_fails_leaves_no_key(intake: Intake) -> None:
    assert submit(intake, CV=("cv.pdf", b"")).status_code == 422
    assert intake.count(submission_key) == 0
    assert submit(intake).status_code == 204


def test_a_key_expires_after_a_day(intake: Intake) -> None:
    assert submit(intake).status_code == 204
    old = update(submission_key).values(created_at=Now(plus_s=-KEY_TTL_S))
    intake.write(lambda c: c.execute(old))
    assert submit(intake, f_name="Grace").status_code == 204
    assert (intake.count(lead), intake.count(submission_key)) == (2, 1)
    submit(intake, "k2")
    intake.write(lambda c: c.execute(old.where(submission_key.c.key == "k1")))
    delete_expired_keys(intake.database)
    assert intake.read(lambda c: c.execute(select(submission_key.c.key)).scalars().all()) == ["k2"]


def test_a_key_is_deleted_with_its_lead(intake: Intake) -> None:
    submit(intake)
    intake.write(lambda c: c.execute(lead.delete()))
    assert intake.count(submission_key) == 0


def test_two_keys_are_refused(intake: Intake) -> None:
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = intake.client.post("/leads/", data=form, files={"CV": ("cv.pdf", b"%PDF-1.4 a CV")}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert intake.count(lead) == 0


def test_a_repetition_without_a_sign_of_spam_clears_the_lead(intake: Intake) -> None:
    honeypot = {FormKey.from_database(intake.database).honeypot: "x"}
    for fields in (honeypot, honeypot, {}, {}, honeypot):
        assert submit(intake, **fields).status_code == 204
    suspect = intake.read(lambda c: c.scalars(select(lead.c.suspect)).all())
    assert suspect == [None]
    assert intake.read(lambda c: set(c.scalars(select(outbox_mail.c.state)))) == {"queued"}
    assert intake.count(outbox_mail) == 3
    entries = intake.read(lambda c: c.scalars(select(audit.c.action).where(audit.c.lead_id == 1)).all())
    assert entries == ["suspect-cleared"]

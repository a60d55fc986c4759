"""Claims of queued mails: leases by the database's clock, with one owner at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from intake.database.clock import Now
from intake.database.schema import confirmed_mailbox, outbox_mail
from intake.mail import outbox
from intake.mail.outbox import OutboxMessage
from tests.conftest import Intake


@pytest.fixture
def queued(intake: Intake) -> Intake:
    """A service with three queued mails for one lead."""
    intake.submitted()
    return intake


def claim(
    intake: Intake, *, owner: str = "here", limit: int = 10, alert_interval_s: float = 0.0
) -> list[OutboxMessage]:
    return outbox.claim(intake.database, owner=owner, limit=limit, alert_interval_s=alert_interval_s)


def rows(intake: Intake) -> list[Any]:
    return list(intake.read(lambda c: c.execute(select(outbox_mail).order_by(outbox_mail.c.id)).mappings().all()))


def set_all(intake: Intake, **values: object) -> None:
    intake.write(lambda c: c.execute(update(outbox_mail).values(**values)))


def test_a_claimed_mail_is_not_claimed_again(queued: Intake) -> None:
    first, second = claim(queued, owner="one", limit=2), claim(queued, owner="two")
    assert [len(first), len(second), len(claim(queued))] == [2, 1, 0]
    assert {mail.claim for mail in first}.isdisjoint({mail.claim for mail in second})
    assert [row["claimed_by"] for row in rows(queued)] == ["one", "one", "two"]
    assert {row["attempts"] for row in rows(queued)} == {1}


def test_concurrent_claims_do_not_share_mails(intake: Intake) -> None:
    for n in range(20):
        intake.submitted(email=f"a{n}@example.com")
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: claim(intake, limit=5), range(16)))
    held = [mail.id for mails in claims for mail in mails]
    assert sorted(held) == sorted(set(held)) == [row["id"] for row in rows(intake)]


# settings for a plan that runs a subquery for each row
NESTED = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_hashagg = off;"
NESTED += " SET LOCAL enable_sort = off; SET LOCAL enable_material = off; SET LOCAL enable_memoize = off"


def test_a_claim_takes_at_most_its_limit_under_any_plan(intake: Intake) -> None:
    for n in range(20):
        intake.submitted(email=f"a{n}@example.com")

    def work(connection: Any) -> int:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(NESTED)
        return len(connection.scalars(outbox._CLAIM, {"token": "t", "owner": "o", "most": 2}).all())

    assert intake.write(work) == 2


def test_only_due_mails_are_claimed(queued: Intake) -> None:
    set_all(queued, next_attempt_at=Now(plus_s=60.0))
    assert claim(queued) == []
    set_all(queued, next_attempt_at=Now(plus_s=-1.0), state="failed")
    assert claim(queued) == []


def test_an_expired_lease_releases_the_mail_and_ends_the_old_claim(queued: Intake) -> None:
    slow = claim(queued)
    set_all(queued, claimed_until=Now(plus_s=-1.0))
    quick = claim(queued)
    assert [mail.id for mail in quick] == [mail.id for mail in slow]
    assert [mail.message_id for mail in quick] == [mail.message_id for mail in slow]
    assert not outbox.record_failure(queued.database, slow[0], reason="x", delay_s=None)
    assert not outbox.record_sent(queued.database, slow[1])
    assert outbox.record_sent(queued.database, quick[0])
    assert not outbox.record_sent(queued.database, quick[0]), "a result is recorded once"
    assert [row["state"] for row in rows(queued)] == ["sent", "queued", "queued"]


def test_an_extended_lease_prevents_other_claims(queued: Intake) -> None:
    mails = claim(queued)
    outbox.record_sent(queued.database, mails[0])
    set_all(queued, claimed_until=Now(plus_s=-1.0))
    outbox.extend_leases(queued.database, mails)
    assert claim(queued) == []


def test_a_released_mail_is_due_without_an_attempt(queued: Intake) -> None:
    mails = claim(queued)
    outbox.record_sent(queued.database, mails[0])
    outbox.release(queued.database, mails)
    assert [row["attempts"] for row in rows(queued)] == [1, 0, 0]
    assert [mail.id for mail in claim(queued)] == [mail.id for mail in mails[1:]]


def test_an_attempt_without_success_is_deferred_or_failed(queued: Intake) -> None:
    mails = claim(queued)
    assert outbox.record_failure(queued.database, mails[0], reason="451 later", delay_s=100.0)
    assert outbox.record_failure(queued.database, mails[1], reason="550 no", delay_s=None)
    first, second, _ = rows(queued)
    assert (first["state"], first["last_error"], second["state"], second["last_error"]) == (
        "queued",
        "451 later",
        "failed",
        "550 no",
    )
    assert 90 < (first["next_attempt_at"] - first["created_at"]).total_seconds() < 120
    assert claim(queued) == []


def states(intake: Intake, kind: str = "confirmation") -> list[str]:
    return [row["state"] for row in rows(intake) if row["kind"] == kind]


def test_an_address_gets_one_confirmation_a_day(intake: Intake) -> None:
    for email in ("ada@example.com", "ADA@Example.com", "grace@example.com", "ada@example.com"):
        intake.submitted(email=email)
    assert states(intake) == ["queued", "suppressed", "queued", "suppressed"]
    assert states(intake, "alert") == ["queued"] * 8
    assert len([mail for mail in claim(intake, limit=99) if mail.kind == "confirmation"]) == 2


def test_an_address_gets_another_confirmation_after_a_day(intake: Intake) -> None:
    intake.submitted()
    intake.write(lambda c: c.execute(update(confirmed_mailbox).values(confirmed_at=Now(plus_s=-24 * 3600.0))))
    intake.submitted()
    intake.submitted()
    assert states(intake) == ["queued", "queued", "suppressed"]


def test_a_failed_confirmation_does_not_count(intake: Intake) -> None:
    intake.submitted()
    [mail] = [mail for mail in claim(intake) if mail.kind == "confirmation"]
    outbox.record_failure(intake.database, mail, reason="451 later", delay_s=60.0)
    intake.submitted()
    set_all(intake, next_attempt_at=Now())
    [mail] = [mail for mail in claim(intake) if mail.kind == "confirmation"]
    outbox.record_failure(intake.database, mail, reason="550 no", delay_s=None)
    intake.submitted()
    assert states(intake) == ["failed", "suppressed", "queued"]


def test_the_confirmation_interval_is_a_setting(start: Callable[..., Intake]) -> None:
    intake = start(confirmation_interval_s=0.0)
    intake.submitted()
    intake.submitted()
    assert states(intake) == ["queued", "queued"]


def test_concurrent_submissions_of_one_address_get_one_confirmation(intake: Intake) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda _: intake.submit(), range(8))]
    assert statuses == [204] * 8
    assert sorted(states(intake)) == ["queued"] + ["suppressed"] * 7


def test_old_sent_and_suppressed_mails_are_pruned(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PRUNE_BATCH", 2)
    for n in range(5):
        intake.submitted(email=f"{n % 2}@example.com")
    for mail in claim(intake, limit=99):
        if mail.kind == "alert" and mail.id % 3:
            outbox.record_sent(intake.database, mail)
    unsent = {row["id"] for row in rows(intake) if row["state"] == "queued"}
    finished = {row["id"] for row in rows(intake)} - unsent
    assert sum(outbox.prune(intake.database, age_s=60.0)) == 0
    intake.write(lambda c: c.execute(update(outbox_mail).values(created_at=Now(plus_s=-61.0))))
    assert list(outbox.prune(intake.database, age_s=60.0)) == [2] * (len(finished) // 2) + [1] * (len(finished) % 2)
    assert {row["id"] for row in rows(intake)} == unsent

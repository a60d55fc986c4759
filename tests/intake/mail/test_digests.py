"""Digests of alerts: one mail per interval and attorney, about all leads since the last one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, update

from intake.audit import LOCAL_ACTOR
from intake.database.clock import Now
from intake.database.schema import DELIVERABLE, alerted_address, lead, outbox_mail
from intake.leads.new_lead import mailbox_of
from intake.mail import admin, digests, outbox
from intake.mail.admin import MailModel
from intake.mail.outbox import OutboxMessage
from tests.conftest import Intake

ATTORNEY = "harriet@firm.example"


@pytest.fixture
def intake(start: Callable[..., Intake]) -> Intake:
    """A service with one attorney."""
    return start(attorney_emails=(ATTORNEY,))


@pytest.fixture
def two_attorneys(start: Callable[..., Intake]) -> Intake:
    """A service with two attorneys."""
    return start()


def retry(intake: Intake, mail_id: int) -> list[str]:
    mailbox = partial(mailbox_of, intake.settings)
    return admin.retry_mails(intake.database, [mail_id], mailbox_of=mailbox, actor=LOCAL_ACTOR)


def alerts(intake: Intake, *, limit: int = 50, interval_s: float = 60.0) -> list[OutboxMessage]:
    """Claim due mails and return the alerts."""
    mails = outbox.claim(intake.database, owner="here", limit=limit, alert_interval_s=interval_s)
    return [mail for mail in mails if mail.kind == "alert"]


def submit(intake: Intake, count: int) -> list[int]:
    return [intake.submitted(email=f"{number}@example.com") for number in range(count)]


def next_minute(intake: Intake) -> None:
    intake.write(lambda c: c.execute(update(alerted_address).values(alerted_at=Now(plus_s=-60.0))))


def stored_alerts(intake: Intake) -> list[MailModel]:
    return admin.list_mails(intake.database, admin.MailQuery(kind=["alert"], limit=500))


def ids(mail: OutboxMessage) -> list[int]:
    return [entry.id for entry in mail.leads]


def test_the_first_alert_is_immediate_and_later_ones_are_a_digest(intake: Intake) -> None:
    first = submit(intake, 1)
    [mail] = alerts(intake)
    assert (ids(mail), mail.lead_count) == (first, 1)
    outbox.record_sent(intake.database, mail)
    others = submit(intake, 3)
    assert alerts(intake) == []
    next_minute(intake)
    [digest] = alerts(intake)
    assert (ids(digest), digest.lead_count) == (others, 3)
    assert digest.leads[0].email == "0@example.com"
    assert digest.message_id == stored_alerts(intake)[1].message_id, "the message id of its first alert"
    next_minute(intake)
    assert alerts(intake) == []


def test_a_retried_digest_contains_the_same_leads(intake: Intake) -> None:
    leads = submit(intake, 2)
    [first] = alerts(intake)
    outbox.record_failure(intake.database, first, reason="451 later", delay_s=0.0)
    submit(intake, 2)
    [again] = alerts(intake)
    assert ids(again) == leads
    assert (again.message_id, again.created_at) == (first.message_id, first.created_at)
    assert again.attempts == 2


def test_each_attorney_gets_a_separate_digest(two_attorneys: Intake) -> None:
    leads = submit(two_attorneys, 4)
    assert sorted((mail.recipient, ids(mail)) for mail in alerts(two_attorneys)) == [
        ("harriet@firm.example", leads),
        ("peter@firm.example", leads),
    ]


def test_concurrent_workers_do_not_split_a_digest(two_attorneys: Intake) -> None:
    leads = submit(two_attorneys, 10)
    with ThreadPoolExecutor(8) as pool:
        claimed = [mail for mails in pool.map(lambda _: alerts(two_attorneys), range(16)) for mail in mails]
    assert sorted((mail.recipient, ids(mail)) for mail in claimed) == [
        ("harriet@firm.example", leads),
        ("peter@firm.example", leads),
    ]


@pytest.mark.parametrize(("state", "reason"), [("sent", None), ("failed", "550 no")])
def test_the_result_of_a_digest_applies_to_all_its_alerts(intake: Intake, state: str, reason: str | None) -> None:
    submit(intake, 3)
    [digest] = alerts(intake)
    if reason is None:
        outbox.record_sent(intake.database, digest)
    else:
        outbox.record_failure(intake.database, digest, reason=reason, delay_s=None)
    assert [(mail.state, mail.last_error, mail.digest_id) for mail in stored_alerts(intake)] == [
        (state, reason, digest.id)
    ] * 3
    assert [mail.sent_at is not None for mail in stored_alerts(intake)] == [state == "sent"] * 3


def test_a_result_under_an_expired_claim_is_ignored(intake: Intake) -> None:
    submit(intake, 2)
    [slow] = alerts(intake)
    intake.write(lambda c: c.execute(update(outbox_mail).values(claimed_until=Now(plus_s=-1.0))))
    alerts(intake)
    assert not outbox.record_sent(intake.database, slow)
    assert {mail.state for mail in stored_alerts(intake)} == {"queued"}


def test_a_failed_digest_is_retried_whole(intake: Intake) -> None:
    leads = submit(intake, 3)
    [digest] = alerts(intake)
    outbox.record_failure(intake.database, digest, reason="550 no", delay_s=None)
    submit(intake, 1)
    assert retry(intake, digest.id) == ["revived"]
    [again] = alerts(intake)
    assert (ids(again), again.message_id) == (leads, digest.message_id), "its leads do not change"


def test_a_single_alert_of_a_failed_digest_can_be_retried(intake: Intake) -> None:
    submit(intake, 3)
    [digest] = alerts(intake)
    outbox.record_failure(intake.database, digest, reason="550 no", delay_s=None)
    second = stored_alerts(intake)[1]
    assert retry(intake, second.id) == ["revived"]
    next_minute(intake)
    [again] = alerts(intake)
    assert (ids(again), again.message_id) == ([second.lead_id], second.message_id)


def test_erasing_a_lead_does_not_affect_other_alerts_of_its_digest(intake: Intake) -> None:
    leads = submit(intake, 3)
    alerts(intake)
    intake.write(lambda c: c.execute(delete(lead).where(lead.c.id == leads[0])))
    next_minute(intake)
    [again] = alerts(intake)
    assert ids(again) == leads[1:]


def test_alerts_locked_by_an_erasure_are_skipped(intake: Intake) -> None:
    leads = submit(intake, 3)
    if intake.settings.sqlite_file is not None:  # SQLite has one writer at a time
        return
    with intake.database._engine.begin() as other:
        other.execute(delete(lead).where(lead.c.id == leads[0]))
        [mail] = alerts(intake)
        assert ids(mail) == leads[1:]


def test_while_a_digest_is_queued_the_next_waits_an_hour(intake: Intake) -> None:
    """Otherwise a relay would receive a digest for each minute of its outage."""
    submit(intake, 1)
    [mail] = alerts(intake)
    outbox.record_failure(intake.database, mail, reason="451 later", delay_s=3600.0)
    leads = submit(intake, 3)
    next_minute(intake)
    assert alerts(intake) == []
    intake.write(lambda c: c.execute(update(alerted_address).values(alerted_at=Now(plus_s=-3600.0))))
    assert [ids(digest) for digest in alerts(intake)] == [leads]


def test_the_age_of_a_digest_counts_from_its_creation(intake: Intake) -> None:
    submit(intake, 2)
    intake.write(lambda c: c.execute(update(outbox_mail).values(queued_since=Now(plus_s=-7 * 86400.0))))
    [digest] = alerts(intake)
    assert digest.age_s < 60


def test_a_future_timestamp_does_not_delay_alerts(intake: Intake) -> None:
    submit(intake, 1)
    [mail] = alerts(intake)
    outbox.record_sent(intake.database, mail)
    submit(intake, 1)
    intake.write(lambda c: c.execute(update(alerted_address).values(alerted_at=Now(plus_s=86400.0 * 365))))
    assert len(alerts(intake)) == 1


def test_without_an_interval_each_alert_is_a_separate_mail(intake: Intake) -> None:
    leads = submit(intake, 3)
    assert [ids(mail) for mail in alerts(intake, interval_s=0.0)] == [[number] for number in leads]


def test_a_long_digest_lists_the_first_leads_and_counts_all(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAX_LISTED_LEADS", 2)
    leads = submit(intake, 5)
    [digest] = alerts(intake)
    assert (ids(digest), digest.lead_count) == (leads[:2], 5)


def explained(connection: Any, query: str) -> str:
    on_postgresql = connection.dialect.name == "postgresql"
    if on_postgresql:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    return str(connection.exec_driver_sql(f"{'EXPLAIN' if on_postgresql else 'EXPLAIN QUERY PLAN'} {query}").all())


def test_due_mails_are_found_by_an_index(intake: Intake) -> None:
    """Alerts in a digest stay queued until it is sent; the frequent query for due mails must not read them."""
    submit(intake, 1)

    def plan(connection: Any) -> str:
        now = "now()" if connection.dialect.name == "postgresql" else "'2026-01-01'"
        query = f"SELECT id FROM outbox_mail WHERE {DELIVERABLE} AND next_attempt_at <= {now}"
        return explained(connection, f"{query} ORDER BY next_attempt_at LIMIT 8")

    assert "ix_outbox_mail_due" in intake.read(plan)


def test_pending_alerts_are_found_by_an_index(intake: Intake) -> None:
    """The query is frequent and must not read confirmations, which have no digest either."""
    submit(intake, 1)

    def plan(connection: Any) -> str:
        compiled = digests._waiting(60.0).compile(connection, compile_kwargs={"literal_binds": True})
        return explained(connection, str(compiled))

    found = intake.read(plan)
    assert "ix_outbox_mail_ungathered" in found
    assert "ix_outbox_mail_digest_id" not in found

"""Alerts under a flood: one mail in an interval for each attorney, which tells of all that came in meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import delete, update

from intake.audit import LOCAL_ACTOR
from intake.database.clock import Now
from intake.database.schema import DELIVERABLE, alerted_address, lead, outbox_mail
from intake.mail import admin, digests, outbox
from intake.mail.admin import MailModel
from intake.mail.outbox import OutboxMessage
from tests.conftest import Intake

ATTORNEY = "harriet@firm.example"


@pytest.fixture
def firm(start: Callable[..., Intake]) -> Intake:
    """A service with one attorney."""
    return start(attorney_emails=(ATTORNEY,))


def alerts(intake: Intake, *, limit: int = 50, interval_s: float = 60.0) -> list[OutboxMessage]:
    """Claim what is due, and return the alerts."""
    mails = outbox.claim(intake.database, owner="here", limit=limit, alert_interval_s=interval_s)
    return [mail for mail in mails if mail.kind == "alert"]


def submit(intake: Intake, count: int) -> list[int]:
    return [intake.submitted(email=f"{number}@example.com") for number in range(count)]


def next_minute(intake: Intake) -> None:
    intake.write(lambda c: c.execute(update(alerted_address).values(alerted_at=Now(plus_s=-60.0))))


def kept(intake: Intake) -> list[MailModel]:
    return admin.list_mails(intake.database, admin.MailQuery(kind=["alert"], limit=500))


def ids(mail: OutboxMessage) -> list[int]:
    return [told.id for told in mail.leads]


def test_the_first_goes_out_at_once_and_those_of_the_next_minute_together(firm: Intake) -> None:
    first = submit(firm, 1)
    [mail] = alerts(firm)
    assert (ids(mail), mail.lead_count) == (first, 1)
    outbox.record_sent(firm.database, mail)
    others = submit(firm, 3)
    assert alerts(firm) == []
    next_minute(firm)
    [digest] = alerts(firm)
    assert (ids(digest), digest.lead_count) == (others, 3)
    assert digest.leads[0].email == "0@example.com"
    assert digest.message_id == kept(firm)[1].message_id, "that of the first it tells of"
    next_minute(firm)
    assert alerts(firm) == []


def test_what_it_tells_of_stays_in_every_attempt(firm: Intake) -> None:
    leads = submit(firm, 2)
    [first] = alerts(firm)
    outbox.record_failure(firm.database, first, reason="451 later", delay_s=0.0)
    submit(firm, 2)
    [again] = alerts(firm)
    assert ids(again) == leads
    assert (again.message_id, again.created_at) == (first.message_id, first.created_at)
    assert again.attempts == 2


def test_each_attorney_has_a_digest_of_their_own(intake: Intake) -> None:
    leads = submit(intake, 4)
    assert sorted((mail.recipient, ids(mail)) for mail in alerts(intake)) == [
        ("harriet@firm.example", leads),
        ("peter@firm.example", leads),
    ]


def test_of_many_workers_at_once_none_splits_one(intake: Intake) -> None:
    leads = submit(intake, 10)
    with ThreadPoolExecutor(8) as pool:
        claimed = [mail for mails in pool.map(lambda _: alerts(intake), range(16)) for mail in mails]
    assert sorted((mail.recipient, ids(mail)) for mail in claimed) == [
        ("harriet@firm.example", leads),
        ("peter@firm.example", leads),
    ]


@pytest.mark.parametrize(("state", "reason"), [("sent", None), ("failed", "550 no")])
def test_what_becomes_of_it_becomes_of_all_it_tells_of(firm: Intake, state: str, reason: str | None) -> None:
    submit(firm, 3)
    [digest] = alerts(firm)
    if reason is None:
        outbox.record_sent(firm.database, digest)
    else:
        outbox.record_failure(firm.database, digest, reason=reason, delay_s=None)
    assert [(mail.state, mail.last_error, mail.digest_id) for mail in kept(firm)] == [(state, reason, digest.id)] * 3
    assert [mail.sent_at is not None for mail in kept(firm)] == [state == "sent"] * 3


def test_a_result_that_counts_no_more_settles_nothing(firm: Intake) -> None:
    submit(firm, 2)
    [slow] = alerts(firm)
    firm.write(lambda c: c.execute(update(outbox_mail).values(claimed_until=Now(plus_s=-1.0))))
    alerts(firm)
    assert not outbox.record_sent(firm.database, slow)
    assert {mail.state for mail in kept(firm)} == {"queued"}


def test_one_that_was_given_up_is_revived_whole(firm: Intake) -> None:
    leads = submit(firm, 3)
    [digest] = alerts(firm)
    outbox.record_failure(firm.database, digest, reason="550 no", delay_s=None)
    submit(firm, 1)
    assert admin.retry_mails(firm.database, [digest.id], actor=LOCAL_ACTOR) == ["revived"]
    [again] = alerts(firm)
    assert (ids(again), again.message_id) == (leads, digest.message_id), "what it tells of stays"


def test_one_lead_of_it_can_be_told_of_again_alone(firm: Intake) -> None:
    submit(firm, 3)
    [digest] = alerts(firm)
    outbox.record_failure(firm.database, digest, reason="550 no", delay_s=None)
    second = kept(firm)[1]
    assert admin.retry_mails(firm.database, [second.id], actor=LOCAL_ACTOR) == ["revived"]
    next_minute(firm)
    [again] = alerts(firm)
    assert (ids(again), again.message_id) == ([second.lead_id], second.message_id)


def test_a_lead_that_is_erased_takes_none_of_the_others_along(firm: Intake) -> None:
    leads = submit(firm, 3)
    alerts(firm)
    firm.write(lambda c: c.execute(delete(lead).where(lead.c.id == leads[0])))
    next_minute(firm)
    [again] = alerts(firm)
    assert ids(again) == leads[1:]


def test_an_erasure_that_is_under_way_is_passed_over(firm: Intake) -> None:
    leads = submit(firm, 3)
    if firm.settings.sqlite_file is not None:  # its writers are one at a time
        return
    with firm.database._engine.begin() as other:
        other.execute(delete(lead).where(lead.c.id == leads[0]))
        [mail] = alerts(firm)
        assert ids(mail) == leads[1:]


def test_while_one_is_still_owed_the_next_waits_an_hour(firm: Intake) -> None:
    """So that a relay which comes back is not met by one for each minute that it was away."""
    submit(firm, 1)
    [mail] = alerts(firm)
    outbox.record_failure(firm.database, mail, reason="451 later", delay_s=3600.0)
    leads = submit(firm, 3)
    next_minute(firm)
    assert alerts(firm) == []
    firm.write(lambda c: c.execute(update(alerted_address).values(alerted_at=Now(plus_s=-3600.0))))
    assert [ids(digest) for digest in alerts(firm)] == [leads]


def test_the_two_days_of_a_digest_begin_when_it_is_made(firm: Intake) -> None:
    submit(firm, 2)
    firm.write(lambda c: c.execute(update(outbox_mail).values(queued_since=Now(plus_s=-7 * 86400.0))))
    [digest] = alerts(firm)
    assert digest.age_s < 60


def test_a_clock_that_was_wrong_silences_nobody(firm: Intake) -> None:
    submit(firm, 1)
    [mail] = alerts(firm)
    outbox.record_sent(firm.database, mail)
    submit(firm, 1)
    firm.write(lambda c: c.execute(update(alerted_address).values(alerted_at=Now(plus_s=86400.0 * 365))))
    assert len(alerts(firm)) == 1


def test_without_an_interval_each_is_a_mail_of_its_own(firm: Intake) -> None:
    leads = submit(firm, 3)
    assert [ids(mail) for mail in alerts(firm, interval_s=0.0)] == [[number] for number in leads]


def test_a_long_one_names_the_first_and_counts_all(firm: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAX_LISTED_LEADS", 2)
    leads = submit(firm, 5)
    [digest] = alerts(firm)
    assert (ids(digest), digest.lead_count) == (leads[:2], 5)


def explained(connection: Any, query: str) -> str:
    on_postgresql = connection.dialect.name == "postgresql"
    if on_postgresql:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    return str(connection.exec_driver_sql(f"{'EXPLAIN' if on_postgresql else 'EXPLAIN QUERY PLAN'} {query}").all())


def test_finding_what_is_due_reads_its_index_alone(firm: Intake) -> None:
    """What a digest tells of is owed for as long as the digest is: it must not be gone through again and again."""
    submit(firm, 1)

    def plan(connection: Any) -> str:
        moment = "now()" if connection.dialect.name == "postgresql" else "'2026-01-01'"
        query = f"SELECT id FROM outbox_mail WHERE {DELIVERABLE} AND next_attempt_at <= {moment}"
        return explained(connection, f"{query} ORDER BY next_attempt_at LIMIT 8")

    assert "ix_outbox_mail_due" in firm.read(plan)


def test_finding_who_waits_reads_ungathered_alerts_alone(firm: Intake) -> None:
    """It is done again and again, and confirmations have no digest either."""
    submit(firm, 1)

    def plan(connection: Any) -> str:
        compiled = digests._waiting(60.0).compile(connection, compile_kwargs={"literal_binds": True})
        return explained(connection, str(compiled))

    found = firm.read(plan)
    assert "ix_outbox_mail_ungathered" in found
    assert "ix_outbox_mail_digest_id" not in found

"""Caps on confirmations: held and suppressed mails, with several workers."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from starlette.testclient import TestClient

from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import confirmed_mailbox, lead, outbox_mail
from intake.leads.normalization import mailbox_key, normalize_key
from intake.mail import confirmation_caps, outbox
from intake.mail.outbox import OutboxMessage
from intake.metrics import Metrics
from tests.conftest import Intake, running_workers
from tests.intake.internal_api.test_post_persons_erase import MARK, administered, erase
from tests.intake.workers.test_mail import wait_for

HOUR_S = 3600.0


@pytest.fixture
def intake(start: Callable[..., Intake]) -> Intake:
    """A service without attorneys: every mail is a confirmation."""
    return start(attorney_emails=())


def claim(intake: Intake, *, per_hour: int = 1000, limit: int = 32, **more: Any) -> list[OutboxMessage]:
    caps_and_more = {"alert_interval_s": 60.0, "confirmations_per_hour": per_hour, **more}
    return outbox.claim(intake.database, owner="here", limit=limit, **caps_and_more)


def claim_all(intake: Intake, **caps_and_more: Any) -> list[OutboxMessage]:
    """Claim until nothing is due, and record each mail as sent."""
    claimed: list[OutboxMessage] = []
    while True:
        held: Counter[str] = Counter()
        mails = claim(intake, on_held=held.update, **caps_and_more)
        for mail in mails:
            outbox.record_sent(intake.database, mail)
        claimed += mails
        if not mails and not held:
            return claimed


def enqueue(intake: Intake, emails: list[str], **values: object) -> None:
    """Queue a confirmation for a lead of each address, as many submissions would."""

    def work(connection: Any) -> None:
        rows = [
            {"email": email, "email_key": normalize_key(email), "state": "PENDING"}
            | dict.fromkeys(("f_name", "l_name", "CV_name", "f_name_key", "l_name_key"), "a")
            for email in emails
        ]
        ids = connection.scalars(insert(lead).returning(lead.c.id, sort_by_parameter_order=True), rows).all()
        mails = [
            {
                "lead_id": number,
                "kind": "confirmation",
                "recipient": email,
                "message_id": f"<{number}@d>",
                "capped_domain": confirmation_caps.capped_domain(mailbox_key(email)),
            }
            for number, email in zip(ids, emails, strict=True)
        ]
        connection.execute(insert(outbox_mail).values(**values), mails)

    intake.write(work)


def at(domain: str, count: int) -> list[str]:
    return [f"{n}@{domain}" for n in range(count)]


def states(intake: Intake) -> Counter[str]:
    rows = intake.read(lambda c: c.execute(select(outbox_mail.c.state, outbox_mail.c.held_by)).all())
    return Counter("held" if row.held_by is not None else row.state for row in rows)


def move_clock(intake: Intake, seconds: float) -> None:
    """Make all mails `seconds` older."""
    names = ("created_at", "next_attempt_at", "queued_since", "counted_at", "held_since")
    moved = "{0} - interval '{1} seconds'"
    if intake.settings.sqlite_file is not None:
        moved = "strftime('%Y-%m-%d %H:%M:%f000', {0}, '-{1} seconds')"
    statement = "UPDATE outbox_mail SET " + ", ".join(f"{name} = {moved.format(name, seconds)}" for name in names)
    intake.write(lambda c: c.execute(text(statement)))


def test_tagged_addresses_of_one_mailbox_get_one_confirmation(intake: Intake) -> None:
    for n in range(120):
        intake.submitted(email=f"Victim+{n}@example.com")
    assert states(intake) == {"queued": 1, "suppressed": 119}
    assert len(claim_all(intake)) == 1
    reasons = set(intake.read(lambda c: c.scalars(select(outbox_mail.c.last_error)).all()))
    assert reasons == {None, "suppressed: its mailbox had a confirmation within INTAKE_CONFIRMATION_INTERVAL"}


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("ada.l@gmail.com", "a.dal+x@GoogleMail.com", 1),
        ("ada.l@example.com", "adal@example.com", 2),
        ("+a@example.com", "+b@example.com", 2),
        ("ada+x@bücher.example", "ADA@xn--bcher-kva.example", 1),
        ("ada@straße.example", "ada@strasse.example", 2),
    ],
)
def test_addresses_of_one_mailbox_share_a_confirmation(intake: Intake, one: str, other: str, count: int) -> None:
    for email in (one, other):
        intake.submitted(email=email)
    assert len(claim_all(intake)) == count


def test_addresses_of_one_mailbox_are_separate_persons(intake: Intake) -> None:
    client = administered(intake)
    first, second = intake.submitted(email="ada+1@example.com"), intake.submitted(email="ada+2@example.com")
    assert [one["id"] for one in erase(client, "ada+1@example.com").json()["leads"]] == [first]
    assert intake.read(lambda c: c.scalars(select(lead.c.id)).all()) == [second]
    assert intake.count(confirmed_mailbox) == 0, "the mailbox is erased with its lead"


def test_a_domain_gets_a_hundred_confirmations_per_hour(intake: Intake) -> None:
    enqueue(intake, at("victim.example", 130) + at("gmail.com", 130) + at("other.example", 50))
    sent = Counter(mail.recipient.partition("@")[2] for mail in claim_all(intake))
    assert sent == {"victim.example": 100, "gmail.com": 130, "other.example": 50}
    assert states(intake) == {"sent": 280, "held": 30}
    confirmation_caps.release(intake.database, per_hour=1000)
    assert claim_all(intake) == []
    move_clock(intake, HOUR_S - 30)
    confirmation_caps.release(intake.database, per_hour=1000)
    assert claim_all(intake) == []
    move_clock(intake, 60)
    assert confirmation_caps.release(intake.database, per_hour=1000) == {}
    assert len(claim_all(intake)) == 30


def test_the_total_per_hour_is_a_setting(intake: Intake) -> None:
    enqueue(intake, [f"a@{n}.example" for n in range(50)])
    assert len(claim_all(intake, per_hour=20)) == 20
    move_clock(intake, HOUR_S + 1)
    confirmation_caps.release(intake.database, per_hour=20)
    assert [mail.recipient for mail in claim_all(intake, per_hour=20)] == [f"a@{n}.example" for n in range(20, 40)]
    confirmation_caps.release(intake.database, per_hour=0)
    assert len(claim_all(intake, per_hour=0)) == 10, "without caps, held mails are released"


def test_without_caps_all_confirmations_are_sent(intake: Intake) -> None:
    enqueue(intake, at("victim.example", 130))
    assert len(claim_all(intake, per_hour=0)) == 130


def test_a_mail_held_for_a_day_is_suppressed_with_a_reason(intake: Intake) -> None:
    enqueue(intake, [*at("victim.example", 102), "a@other.example"])
    claim_all(intake, per_hour=101)
    assert states(intake) == {"sent": 101, "held": 2}
    move_clock(intake, 24 * HOUR_S - 60)
    intake.write(lambda c: c.execute(update(outbox_mail).where(outbox_mail.c.state == "sent").values(counted_at=Now())))
    assert confirmation_caps.release(intake.database, per_hour=101) == {}
    move_clock(intake, 120)
    intake.write(lambda c: c.execute(update(outbox_mail).where(outbox_mail.c.state == "sent").values(counted_at=Now())))
    assert confirmation_caps.release(intake.database, per_hour=101).total() == 2
    assert states(intake) == {"sent": 101, "suppressed": 2}
    query = select(outbox_mail.c.last_error).where(outbox_mail.c.state == "suppressed")
    assert all(one.startswith("suppressed after 24 hours: at most") for one in intake.read(lambda c: c.scalars(query)))


def test_a_mailbox_may_get_a_confirmation_after_a_suppressed_one(intake: Intake) -> None:
    intake.submitted()
    claim_all(intake, per_hour=0)
    intake.submitted(email="grace@example.com")
    intake.write(lambda c: c.execute(update(outbox_mail).values(counted_at=Now())))
    intake.write(
        lambda c: c.execute(update(outbox_mail).where(outbox_mail.c.state == "queued").values(counted_at=None))
    )
    assert claim_all(intake, per_hour=1) == []
    move_clock(intake, 25 * HOUR_S)
    confirmation_caps.release(intake.database, per_hour=1)
    intake.submitted(email="grace@example.com")
    assert states(intake) == {"sent": 1, "suppressed": 1, "queued": 1}


def test_a_retried_mail_counts_once_against_a_cap(intake: Intake) -> None:
    enqueue(intake, at("a.example", 3))
    for _ in range(4):
        for mail in (first := claim(intake, per_hour=2)):
            assert outbox.record_failure(intake.database, mail, reason="451 later", delay_s=0.0)
        assert len(first) == 2
    move_clock(intake, 2 * HOUR_S)
    confirmation_caps.release(intake.database, per_hour=2)
    assert len(claim(intake, per_hour=2)) == 2, "of three due mails"
    assert states(intake) == {"queued": 2, "held": 1}


def test_a_mail_that_was_attempted_after_it_was_held_waits_a_day_again(intake: Intake) -> None:
    enqueue(intake, at("a.example", 1))
    intake.write(lambda c: c.execute(update(outbox_mail).values(held_since=Now())))
    [mail] = claim(intake)
    assert outbox.record_failure(intake.database, mail, reason="451 later", delay_s=0.0)
    move_clock(intake, 25 * HOUR_S)
    assert claim(intake, per_hour=-1) == []
    assert (states(intake), confirmation_caps.release(intake.database, per_hour=-1)) == ({"held": 1}, {})


def test_a_held_mail_has_no_attempt_and_no_claim(intake: Intake) -> None:
    enqueue(intake, at("a.example", 2))
    claim(intake, per_hour=1)
    [row] = intake.read(lambda c: c.execute(select(outbox_mail).where(outbox_mail.c.held_by.is_not(None))).all())
    assert (row.attempts, row.claim, row.claimed_until) == (0, None, None)


def test_future_timestamps_do_not_count_against_a_cap(intake: Intake) -> None:
    enqueue(intake, at("a.example", 5), state="sent", counted_at=Now(plus_s=365 * 24 * HOUR_S))
    enqueue(intake, at("b.example", 5))
    assert len(claim(intake, per_hour=5)) == 5


def test_alerts_and_digests_are_never_capped(start: Callable[..., Intake]) -> None:
    intake = start()
    for n in range(5):
        intake.submitted(email=f"a@{n}.example")
    mails = claim_all(intake, per_hour=1)
    assert Counter(mail.kind for mail in mails) == {"confirmation": 1, "alert": 2}
    assert {mail.lead_count for mail in mails if mail.kind == "alert"} == {5}


def test_concurrent_workers_do_not_exceed_a_cap(intake: Intake) -> None:
    enqueue(intake, at("victim.example", 150) + at("gmail.com", 60))
    databases = [Database(intake.settings, connections=1) for _ in range(4)]

    def work(database: Database) -> list[str]:
        found: list[str] = []
        for _ in range(12):
            mails = outbox.claim(database, owner="x", limit=7, alert_interval_s=60.0, confirmations_per_hour=120)
            found += [mail.recipient.partition("@")[2] for mail in mails]
            confirmation_caps.release(database, per_hour=120)
        return found

    with ThreadPoolExecutor(len(databases)) as pool:
        sent = Counter(domain for domains in pool.map(work, databases) for domain in domains)
    for database in databases:
        database.close()
    assert sent["victim.example"] <= confirmation_caps.PER_DOMAIN
    assert sent.total() == 120


def test_an_erasure_deletes_the_domains_of_capped_mails(intake: Intake) -> None:
    client = administered(intake)
    enqueue(intake, at("other.example", 100))
    for n in range(3):
        intake.submitted(email=f"a@{MARK}.example", l_name=str(n))
        intake.write(lambda c: c.execute(text("DELETE FROM confirmed_mailbox")))
    claim_all(intake, per_hour=101)
    assert states(intake) == {"sent": 101, "held": 2}
    assert erase(client, f"a@{MARK}.example").json()["complete"]
    columns = outbox_mail.c.capped_domain, outbox_mail.c.held_by
    rows = intake.read(lambda c: c.execute(select(*columns)).all())
    assert {value for row in rows for value in row} <= {"other.example", None}


def test_mails_that_count_against_a_cap_are_not_pruned(intake: Intake) -> None:
    enqueue(intake, at("a.example", 2))
    claim_all(intake, per_hour=2)
    assert list(outbox.prune(intake.database, age_s=0.0)) == []
    move_clock(intake, HOUR_S + 1)
    assert list(outbox.prune(intake.database, age_s=0.0)) == [2]


def test_lists_and_metrics_show_capped_mails(start: Callable[..., Intake], attorney: TestClient) -> None:
    del attorney
    intake = start(attorney_emails=(), confirmations_per_hour=101)
    enqueue(intake, at("victim.example", 130) + at("gmail.com", 5))
    metrics = Metrics()
    with running_workers(intake, metrics):
        wait_for(lambda: states(intake) == {"sent": 101, "held": 34})
    headers = intake.bearer(intake.user())
    mails = intake.client.get("/internal/mail?limit=1000&state=queued", headers=headers).json()
    assert Counter(mail["last_error"] for mail in mails) == {
        "waiting: at most 100 confirmations an hour to one domain": 30,
        "waiting: at most INTAKE_CONFIRMATIONS_PER_HOUR confirmations an hour": 4,
    }
    found = metrics.exposition().decode()
    assert 'intake_capped_confirmations_total{cap="domain",outcome="held"} 30.0' in found
    assert 'intake_capped_confirmations_total{cap="total",outcome="held"} 4.0' in found

"""The mail worker: database errors, and leases that expired while it could not extend them."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy import func, select, text, update

from intake.database.clock import Now
from intake.database.schema import outbox_mail
from intake.errors import DatabaseUnavailable
from intake.mail import outbox
from intake.metrics import Metrics
from intake.settings.parsers import SmtpServer
from intake.workers import SMTP_CONNECTIONS, Workers
from tests.conftest import Intake, running_workers
from tests.system.relay import Relay


def wait_for(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def rename(intake: Intake, old: str, new: str) -> None:
    intake.write(lambda c: c.execute(text(f"ALTER TABLE {old} RENAME TO {new}")))


def sent(intake: Intake) -> bool:
    return set(intake.read(lambda c: c.scalars(select(outbox_mail.c.state)).all())) == {"sent"}


def test_a_failed_statement_does_not_end_the_worker(intake: Intake) -> None:
    intake.submitted()
    rename(intake, "outbox_mail", "away")
    with running_workers(intake) as workers:
        time.sleep(1)
        rename(intake, "away", "outbox_mail")
        assert workers.errors["mail"] is None
        wait_for(lambda: sent(intake))


def test_a_stored_address_that_is_unsafe_in_a_header_fails_without_a_traceback(
    intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    intake.submitted()
    is_confirmation = outbox_mail.c.kind == "confirmation"
    unsafe = {"recipient": "=?iso8859_7?q?=80=FF=5C?=@example.com"}  # accepted by earlier versions
    intake.write(lambda c: c.execute(update(outbox_mail).where(is_confirmation).values(unsafe)))
    states = select(outbox_mail.c.kind, outbox_mail.c.state, outbox_mail.c.attempts, outbox_mail.c.last_error)
    with running_workers(intake):
        wait_for(lambda: "queued" not in {row.state for row in intake.read(lambda c: c.execute(states).all())})
    [failed] = [row for row in intake.read(lambda c: c.execute(states).all()) if row.kind == "confirmation"]
    assert (failed.state, failed.attempts) == ("failed", 1)
    assert "can't be written into a mail header" in failed.last_error
    assert "Traceback" not in caplog.text
    assert not any(record.exc_info for record in caplog.records)


def test_a_worker_that_is_not_running_reports_an_error(intake: Intake) -> None:
    workers = Workers(intake.settings, intake.database, Metrics())
    assert "has ended" in str(workers.errors["mail"])


def changed(intake: Intake, changes: dict[str, object]) -> bool:
    """Change all mails; return False if the worker's own change of them made a deadlock."""
    try:
        intake.write(lambda c: c.execute(update(outbox_mail).values(changes)))
    except DatabaseUnavailable:
        return False
    return True


ATTORNEYS = tuple(f"a{number}@firm.example" for number in range(8))


OTHER = {"claim": "of another worker", "claimed_until": Now(plus_s=60.0)}
EXPIRED = {"claimed_until": Now(plus_s=-1.0)}


@pytest.mark.parametrize(("changes", "sent_here"), [(OTHER, SMTP_CONNECTIONS), (EXPIRED, len(ATTORNEYS) + 1)])
def test_after_an_interruption_no_mail_is_sent_twice(
    start: Callable[..., Intake], monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], sent_here: int
) -> None:
    relay = Relay(delay_s=3.0)
    relay.open()
    server = SmtpServer(host="127.0.0.1", port=relay.port, username=None, password=None, tls="off")
    intake = start(smtp_server=server, attorney_emails=ATTORNEYS)
    intake.submitted()
    count = select(func.count()).where(outbox_mail.c.claim.is_not(None))
    with running_workers(intake):
        wait_for(lambda: intake.read(lambda c: c.scalar(count)) == len(ATTORNEYS) + 1)
        wait_for(lambda: relay.received == SMTP_CONNECTIONS)
        monkeypatch.setattr(outbox, "LEASE_S", 0.2)
        wait_for(lambda: changed(intake, changes))
        relay.delay_s = 0.1  # of those that are not in delivery yet
        relay.wait_for(sent_here)
        time.sleep(1.5)  # for others, which must not follow
    relay.close()
    ids = [message["Message-ID"] for message in relay.taken]
    assert (len(ids), len(set(ids))) == (sent_here, sent_here)

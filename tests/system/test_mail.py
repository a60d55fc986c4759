"""Mail delivery by the real service to a test relay, on both databases."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import RowMapping, select, update

from intake.cv_text import sandbox
from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import outbox_mail
from intake.settings import Settings
from tests.conftest import SECRET, Databases
from tests.system.programs import Service, clean_environment
from tests.system.relay import Relay
from tests.system.test_connections import POST
from tests.system.wire import Wire


class Deployment:
    """A running service with a relay, and its database for inspection."""

    def __init__(self, service: Service, database: Database, environment: dict[str, str]) -> None:
        self.service, self.database, self.environment = service, database, environment

    def submit(self, email: str = "ada@example.com") -> None:
        form = {"email": email, "f_name": "Ada\u202e", "l_name": "<b>Lovelace</b>"}
        answer = httpx2.post(f"{self.service.url}/leads/", data=form, files={"CV": ("cv.pdf", b"%PDF-1.4")})
        assert answer.status_code == 204

    def mails(self) -> list[RowMapping]:
        query = select(outbox_mail).order_by(outbox_mail.c.id)
        return list(self.database.read(lambda c: c.execute(query).mappings().all()))

    def wait_for(self, state: Callable[[list[RowMapping]], bool], *, within_s: float = 20.0) -> list[RowMapping]:
        until = time.monotonic() + within_s
        while not state(found := self.mails()):
            assert time.monotonic() < until, found
            time.sleep(0.05)
        return found


@pytest.fixture
def start(databases: Databases, relay: Relay, tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    with contextlib.ExitStack() as stack:

        def started(*flags: str, **changes: str) -> Deployment:
            url = databases.migrated_url()
            settings = {
                "INTAKE_DATABASE_URL": url,
                "INTAKE_JWT_SECRET": SECRET,
                "INTAKE_SMTP_URL": f"smtp://127.0.0.1:{relay.port}",
                "INTAKE_MAIL_FROM": "Marple & Wimsey <intake@firm.example>",
                "INTAKE_ATTORNEY_EMAILS": "harriet@firm.example,peter@firm.example",
                "INTAKE_ALERT_INTERVAL": "0",
                **changes,
            }
            environment = clean_environment(tmp_path, **settings)
            service = stack.enter_context(Service(environment, tmp_path, "serve", *flags))
            database = Database(Settings(database_url=url), connections=1)
            stack.callback(database.close)
            return Deployment(service, database, environment)

        yield started


def test_prospect_and_each_attorney_receive_a_mail(start: Callable[..., Deployment], relay: Relay) -> None:
    deployment = start(INTAKE_FIRM_CONTACT="020 7946 0000", INTAKE_FIRM_URL="https://firm.example")
    deployment.submit()
    messages = {str(message["To"]): message for message in relay.wait_for(3)}
    assert set(messages) == {"ada@example.com", "harriet@firm.example", "peter@firm.example"}
    for message in messages.values():
        assert str(message["From"]) == "Marple & Wimsey <intake@firm.example>"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Date"].datetime.utcoffset().total_seconds() == 0
        assert re.fullmatch(r"<[0-9a-f]{32}@firm\.example>", message["Message-ID"])
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    confirmation, alert = (str(messages[to]) for to in ("ada@example.com", "harriet@firm.example"))
    assert "Lovelace" not in confirmation
    assert "New lead 1" in alert
    assert "&lt;b&gt;Lovelace" in alert
    assert str(messages["harriet@firm.example"]["Reply-To"]) == "ada@example.com"
    assert messages["ada@example.com"]["Reply-To"] is None
    assert "020 7946 0000" in confirmation
    assert "https://firm.example" in confirmation
    assert "\u202e" not in alert
    mails = deployment.wait_for(lambda found: all(mail["state"] == "sent" for mail in found))
    assert [mail["message_id"] for mail in mails] == [messages[mail["recipient"]]["Message-ID"] for mail in mails]
    assert [mail["attempts"] for mail in mails] == [1, 1, 1]


def test_leads_within_an_interval_are_alerted_in_one_digest(start: Callable[..., Deployment], relay: Relay) -> None:
    deployment = start(INTAKE_ALERT_INTERVAL="4s", INTAKE_ATTORNEY_EMAILS="harriet@firm.example")
    deployment.submit("0@example.com")
    relay.wait_for(2)
    for n in range(1, 6):
        deployment.submit(f"{n}@example.com")
    to_harriet = [message for message in relay.wait_for(8) if str(message["To"]) == "harriet@firm.example"]
    assert [message["Subject"] for message in to_harriet] == [
        "New lead 1: Ada\\u202e <b>Lovelace</b>",
        "5 new leads",
    ]
    assert [message["Reply-To"] for message in to_harriet] == ["0@example.com", None]
    digest = str(to_harriet[1].get_body(("plain",)))
    assert all(f"<{n}@example.com>" in digest for n in range(1, 6))
    mails = deployment.wait_for(lambda found: all(mail["state"] == "sent" for mail in found))
    assert to_harriet[1]["Message-ID"] in {mail["message_id"] for mail in mails}


def test_non_ascii_address_is_sent_with_smtputf8(start: Callable[..., Deployment], relay: Relay) -> None:
    deployment = start(INTAKE_ATTORNEY_EMAILS="")
    deployment.submit("zoë@exämple.com")
    assert str(relay.wait_for(1)[0]["To"]) == "zoë@exämple.com"


def test_5xx_replies_fail_a_mail_and_4xx_replies_defer_it(start: Callable[..., Deployment], relay: Relay) -> None:
    relay.refuses = {"ada@example.com": "550 <ada@example.com>: no such user", "harriet@firm.example": "451 later"}
    deployment = start()
    deployment.submit()
    mails = deployment.wait_for(lambda found: found[2]["state"] == "sent" and found[1]["last_error"] is not None)
    assert [mail["state"] for mail in mails] == ["failed", "queued", "sent"]
    assert (mails[0]["last_error"], mails[1]["last_error"]) == ("550 <ada@example.com>: no such user", "451 later")
    assert (mails[0]["attempts"], mails[1]["attempts"]) == (1, 1)
    log = "".join(deployment.service.log)
    assert "the relay replied 550; giving up" in log
    assert "example.com" not in log, "the log holds no addresses"
    del relay.refuses["harriet@firm.example"]
    due = update(outbox_mail).where(outbox_mail.c.state == "queued").values(next_attempt_at=Now())
    deployment.database.write(lambda c: c.execute(due))
    again = deployment.wait_for(lambda found: found[1]["state"] == "sent")
    assert again[1]["attempts"] == 2
    assert again[1]["message_id"] == relay.taken[-1]["Message-ID"] == mails[1]["message_id"]


def test_unreachable_relay_defers_all_mails(start: Callable[..., Deployment]) -> None:
    deployment = start(INTAKE_SMTP_URL="smtp://127.0.0.1:1")
    deployment.submit()
    mails = deployment.wait_for(lambda found: all(mail["last_error"] for mail in found))
    assert {mail["state"] for mail in mails} == {"queued"}
    assert "no connection to the relay" in mails[0]["last_error"]


def test_relay_without_required_starttls_receives_no_mail(start: Callable[..., Deployment], relay: Relay) -> None:
    deployment = start(INTAKE_SMTP_URL=f"smtp://127.0.0.1:{relay.port}?starttls=required")
    deployment.submit()
    deployment.wait_for(lambda found: all(mail["last_error"] for mail in found))
    assert relay.taken == []


def test_hanging_recipient_does_not_delay_other_mails(start: Callable[..., Deployment], relay: Relay) -> None:
    relay.hangs_for = {"hang@example.com"}
    deployment = start(INTAKE_ATTORNEY_EMAILS="")
    began = time.monotonic()
    deployment.submit("hang@example.com")
    for n in range(30):
        deployment.submit(f"a{n}@example.com")
    relay.wait_for(30)
    assert time.monotonic() - began < 15
    assert relay.connections <= 5, "connections are reused"


def test_refused_smtp_login_pauses_sending_and_counts_no_attempt(
    start: Callable[..., Deployment], relay: Relay
) -> None:
    relay.login = "535 5.7.8 bad credentials"
    deployment = start(INTAKE_SMTP_URL=f"smtp://me:secret@127.0.0.1:{relay.port}")
    deployment.submit()
    until = time.monotonic() + 20
    while "mail" not in (ready := httpx2.get(f"{deployment.service.url}/readyz").json()):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert ready["cv_sandbox"] == sandbox.describe()
    assert ready["mail"].startswith("the relay refuses the login: 535")
    deployment.wait_for(lambda found: all(mail["claim"] is None for mail in found))
    assert {(mail["state"], mail["attempts"]) for mail in deployment.mails()} == {("queued", 0)}
    assert relay.logins <= 4
    assert "no mail is sent for 60 s" in "".join(deployment.service.log)
    assert "secret" not in "".join(deployment.service.log)


def test_connection_lost_after_data_resends_the_identical_mail(start: Callable[..., Deployment], relay: Relay) -> None:
    relay.drops = 1
    deployment = start(INTAKE_ATTORNEY_EMAILS="")
    deployment.submit()
    [mail] = deployment.wait_for(lambda found: found[0]["last_error"] is not None)
    due = update(outbox_mail).values(next_attempt_at=Now())
    deployment.database.write(lambda c: c.execute(due))
    once, again = relay.wait_for(2)
    assert [once[name] for name in ("Message-ID", "Date")] == [again[name] for name in ("Message-ID", "Date")]
    assert deployment.wait_for(lambda found: found[0]["state"] == "sent")[0]["attempts"] == mail["attempts"] + 1


def test_separate_worker_sends_mail_of_a_service_without_one(
    start: Callable[..., Deployment], relay: Relay, tmp_path: Path
) -> None:
    deployment = start("--no-worker", INTAKE_ATTORNEY_EMAILS="")
    deployment.submit()
    time.sleep(1.5)
    assert deployment.mails()[0]["state"] == "queued"
    with Service(deployment.environment, tmp_path, "worker") as worker:
        relay.wait_for(1)
        deployment.submit("grace@example.com")
        began = time.monotonic()
        relay.wait_for(2)
        assert time.monotonic() - began < 2, "the worker polls the outbox every second"
        deployment.wait_for(lambda found: all(mail["state"] == "sent" for mail in found))
        assert worker.stop() == 0


def test_concurrent_workers_send_each_mail_once(start: Callable[..., Deployment], relay: Relay, tmp_path: Path) -> None:
    deployment = start("--no-worker")
    for n in range(30):
        deployment.submit(f"a{n}@example.com")
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Service(deployment.environment, tmp_path, "worker"))
        relay.wait_for(90, within_s=60)
        deployment.wait_for(lambda found: all(mail["state"] == "sent" for mail in found))
    ids = [message["Message-ID"] for message in relay.taken]
    assert len(ids) == len(set(ids)) == 90


def test_stopped_worker_finishes_or_releases_its_mails(
    start: Callable[..., Deployment], relay: Relay, tmp_path: Path
) -> None:
    relay.delay_s = 0.5
    deployment = start("--no-worker")
    for n in range(10):
        deployment.submit(f"a{n}@example.com")
    with Service(deployment.environment, tmp_path, "worker") as worker:
        relay.wait_for(4)
        assert worker.stop() == 0
    mails = deployment.mails()
    assert not [mail for mail in mails if mail["claim"]]
    sent = {mail["message_id"] for mail in mails if mail["state"] == "sent"}
    assert sent == {message["Message-ID"] for message in relay.taken}
    assert {mail["attempts"] for mail in mails if mail["state"] == "queued"} == {0}


def test_requests_and_mails_finish_at_the_same_time_within_the_grace_period(
    start: Callable[..., Deployment], relay: Relay
) -> None:
    relay.hangs_for = {"ada@example.com"}
    deployment = start(INTAKE_SHUTDOWN_GRACE="8s", INTAKE_MIN_BODY_RATE="1", INTAKE_ATTORNEY_EMAILS="")
    deployment.submit()
    deployment.wait_for(lambda found: any(mail["claim"] for mail in found))
    process = deployment.service.process
    with Wire(deployment.service.url) as slow:
        slow.send(POST + b"Content-Length: 5000000\r\n\r\n")
        time.sleep(0.5)
        process.terminate()
        began = time.monotonic()
        assert process.wait(20) == -signal.SIGTERM
    assert 5 < time.monotonic() - began < 8.5
    assert {(mail["state"], mail["claim"], mail["attempts"]) for mail in deployment.mails()} == {("queued", None, 0)}


def test_killed_worker_duplicates_at_most_one_mail_per_connection(
    start: Callable[..., Deployment], relay: Relay, tmp_path: Path
) -> None:
    relay.delay_s = 0.05
    deployment = start("--no-worker")
    for n in range(20):
        deployment.submit(f"a{n}@example.com")
    with Service(deployment.environment, tmp_path, "worker") as worker:
        relay.wait_for(10)
        worker.process.kill()
        worker.process.wait()
    lapse = update(outbox_mail).where(outbox_mail.c.claimed_until.is_not(None)).values(claimed_until=Now(plus_s=-1.0))
    deployment.database.write(lambda c: c.execute(lapse))
    with Service(deployment.environment, tmp_path, "worker"):
        deployment.wait_for(lambda found: all(mail["state"] == "sent" for mail in found), within_s=60)
    ids = [message["Message-ID"] for message in relay.taken]
    assert set(ids) == {mail["message_id"] for mail in deployment.mails()}
    assert len(ids) - len(set(ids)) <= 4


def test_template_error_in_one_mail_does_not_delay_others(
    start: Callable[..., Deployment], relay: Relay, tmp_path: Path
) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "alert.txt.jinja").write_text(
        "Subject: New\n\n{% if lead.email == 'bad@example.com' %}{{ 1 / 0 }}{% endif %}{{ lead.email }}"
    )
    deployment = start(INTAKE_MAIL_TEMPLATES=str(templates))
    deployment.submit("bad@example.com")
    deployment.submit("good@example.com")
    assert len(relay.wait_for(4)) == 4
    mails = deployment.wait_for(lambda found: len([m for m in found if m["state"] == "sent" or m["last_error"]]) == 6)
    assert {mail["kind"] for mail in mails if mail["state"] == "queued"} == {"alert"}
    assert "can't be rendered" in next(mail["last_error"] for mail in mails if mail["last_error"])


def test_a_worker_exposes_its_metrics(start: Callable[..., Deployment], tmp_path: Path) -> None:
    deployment = start("--no-worker")
    environment = {**deployment.environment, "INTAKE_METRICS_PORT": "0"}
    with Service(environment, tmp_path, "worker") as worker:
        [url] = re.findall(r"metrics on (http://127\.0\.0\.1:\d+/metrics)", "".join(worker.log))
        exposed = httpx2.get(url, trust_env=False).text
        taken = urlsplit(url).port
        second = subprocess.run(
            [sys.executable, "-m", "intake", "worker"],
            env={**environment, "INTAKE_METRICS_PORT": str(taken)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert "intake_mail_attempts_total" in exposed
    assert second.returncode == 1
    error = f"intake: INTAKE_METRICS_PORT: can't listen on 127.0.0.1:{taken}: Address already in use\n"
    assert second.stderr.endswith(error)

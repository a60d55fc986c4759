"""Owed mail, through the real service and a real relay, on both databases."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import RowMapping, select, update

from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import outbox_mail
from intake.settings import Settings
from tests.conftest import SECRET, Databases
from tests.system.conftest import Relay
from tests.system.programs import Service, clean_environment


class Firm:
    """A running service with a relay, and its database to look into."""

    def __init__(self, service: Service, database: Database) -> None:
        self.service, self.database = service, database

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
def start(databases: Databases, relay: Relay, tmp_path: Path) -> Iterator[Callable[..., Firm]]:
    with contextlib.ExitStack() as stack:

        def started(**changes: str) -> Firm:
            url = databases.migrated_url()
            settings = {
                "INTAKE_DATABASE_URL": url,
                "INTAKE_JWT_SECRET": SECRET,
                "INTAKE_SMTP_URL": f"smtp://127.0.0.1:{relay.port}",
                "INTAKE_MAIL_FROM": "Marple & Wimsey <intake@firm.example>",
                "INTAKE_ATTORNEY_EMAILS": "harriet@firm.example,peter@firm.example",
                **changes,
            }
            service = stack.enter_context(Service(clean_environment(tmp_path, **settings), tmp_path))
            database = Database(Settings(database_url=url), connections=1)
            stack.callback(database.close)
            return Firm(service, database)

        yield started


def test_the_prospect_and_each_attorney_get_theirs(start: Callable[..., Firm], relay: Relay) -> None:
    firm = start()
    firm.submit()
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
    assert "\u202e" not in alert
    mails = firm.wait_for(lambda found: all(mail["state"] == "sent" for mail in found))
    assert [mail["message_id"] for mail in mails] == [messages[mail["recipient"]]["Message-ID"] for mail in mails]
    assert [mail["attempts"] for mail in mails] == [1, 1, 1]


def test_an_address_outside_ascii_is_mailed_with_smtputf8(start: Callable[..., Firm], relay: Relay) -> None:
    firm = start(INTAKE_ATTORNEY_EMAILS="")
    firm.submit("zoë@exämple.com")
    assert str(relay.wait_for(1)[0]["To"]) == "zoë@exämple.com"


def test_a_refusal_is_final_or_not_as_its_code_says(start: Callable[..., Firm], relay: Relay) -> None:
    relay.refuses = {"ada@example.com": "550 no such user", "harriet@firm.example": "451 later"}
    firm = start()
    firm.submit()
    mails = firm.wait_for(lambda found: found[2]["state"] == "sent" and found[1]["last_error"] is not None)
    assert [mail["state"] for mail in mails] == ["dead", "owed", "sent"]
    assert (mails[0]["last_error"], mails[1]["last_error"]) == ("550 no such user", "451 later")
    assert (mails[0]["attempts"], mails[1]["attempts"]) == (1, 1)
    del relay.refuses["harriet@firm.example"]
    due = update(outbox_mail).where(outbox_mail.c.state == "owed").values(next_attempt_at=Now())
    firm.database.write(lambda c: c.execute(due))
    again = firm.wait_for(lambda found: found[1]["state"] == "sent")
    assert again[1]["attempts"] == 2
    assert again[1]["message_id"] == relay.taken[-1]["Message-ID"] == mails[1]["message_id"]


def test_a_relay_that_is_away_costs_nothing_but_time(start: Callable[..., Firm]) -> None:
    firm = start(INTAKE_SMTP_URL="smtp://127.0.0.1:1")
    firm.submit()
    mails = firm.wait_for(lambda found: all(mail["last_error"] for mail in found))
    assert {mail["state"] for mail in mails} == {"owed"}
    assert "no connection to the relay" in mails[0]["last_error"]


def test_a_relay_that_must_encrypt_and_can_not_gets_no_mail(start: Callable[..., Firm], relay: Relay) -> None:
    firm = start(INTAKE_SMTP_URL=f"smtp://127.0.0.1:{relay.port}?starttls=required")
    firm.submit()
    firm.wait_for(lambda found: all(mail["last_error"] for mail in found))
    assert relay.taken == []


def test_a_template_that_breaks_on_one_mail_does_not_hold_up_the_others(
    start: Callable[..., Firm], relay: Relay, tmp_path: Path
) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "alert.txt.jinja").write_text(
        "Subject: New\n\n{% if lead.email == 'bad@example.com' %}{{ 1 / 0 }}{% endif %}{{ lead.email }}"
    )
    firm = start(INTAKE_MAIL_TEMPLATES=str(templates))
    firm.submit("bad@example.com")
    firm.submit("good@example.com")
    assert len(relay.wait_for(4)) == 4
    mails = firm.wait_for(lambda found: len([m for m in found if m["last_error"]]) == 2)
    assert {mail["kind"] for mail in mails if mail["state"] == "owed"} == {"alert"}
    assert "can't be rendered" in next(mail["last_error"] for mail in mails if mail["last_error"])

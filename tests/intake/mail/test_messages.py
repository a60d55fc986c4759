"""What mails say."""

import dataclasses
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.errors import TemplateInvalid
from intake.mail.digests import DigestLead
from intake.mail.messages import _SAMPLE, MessageBuilder
from intake.mail.outbox import OutboxMessage
from intake.settings.parsers import Mailbox

SENDER = Mailbox("intake@firm.example", "Märple & Wimsey")
COMPOSER = MessageBuilder(sender=SENDER, directory=None)
TYPED = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


def mail(**changes: object) -> OutboxMessage:
    return dataclasses.replace(_SAMPLE, **changes)  # type: ignore[arg-type]


def lead(**changes: object) -> DigestLead:
    return dataclasses.replace(_SAMPLE.leads[0], **changes)  # type: ignore[arg-type]


def sent(composer: MessageBuilder, owed: OutboxMessage) -> EmailMessage:
    """Return the message as its reader gets it."""
    raw = composer.build(owed)
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "RFC 5322, section 2.1.1"
    return message_from_bytes(raw, _class=EmailMessage, policy=default)


def text_of(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize("kind", ["confirmation", "alert"])
def test_headers(kind: str) -> None:
    message = sent(COMPOSER, mail(kind=kind, message_id="<1@firm.example>"))
    assert message["From"] == "Märple & Wimsey <intake@firm.example>"
    assert message["To"] == "attorney@example.com"
    assert message["Message-ID"] == "<1@firm.example>"
    assert message["Date"] == "Thu, 01 Jan 2026 00:00:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"


def test_every_attempt_is_the_same_but_for_its_boundary() -> None:
    one, other = (sent(COMPOSER, mail(attempts=n)) for n in (1, 2))
    assert [one[name] for name in ("Message-ID", "Date", "Subject")] == [
        other[name] for name in ("Message-ID", "Date", "Subject")
    ]


@given(TYPED, TYPED, TYPED)
def test_a_confirmation_holds_nothing_that_was_typed(f_name: str, l_name: str, cv_name: str) -> None:
    typed = mail(kind="confirmation", leads=(lead(f_name=f_name, l_name=l_name, cv_name=cv_name),))
    for kind in ("plain", "html"):
        assert text_of(sent(COMPOSER, typed), kind) == text_of(sent(COMPOSER, mail(kind="confirmation")), kind)


@given(TYPED)
def test_an_alert_shows_what_was_typed_and_obeys_none_of_it(typed: str) -> None:
    message = sent(COMPOSER, mail(leads=(lead(f_name=typed, l_name="</td><script>", cv_name="a\r\nBcc: x@y"),)))
    assert message["Subject"] == "New lead 1"
    assert message["Bcc"] is None
    assert "<script>" not in text_of(message, "html")
    assert "&lt;script&gt;" in text_of(message, "html")
    assert r"a\r\nBcc: x@y" in text_of(message, "plain")
    if typed.isprintable():
        assert typed in text_of(message, "plain")


@given(TYPED)
def test_a_digest_shows_what_was_typed_and_obeys_none_of_it(typed: str) -> None:
    leads = (lead(id=7, f_name=typed), lead(id=8, l_name="</td><script>", cv_name="a\r\nBcc: x@y"))
    message = sent(COMPOSER, mail(leads=leads, lead_count=5))
    assert message["Subject"] == "5 new leads"
    assert message["Bcc"] is None
    plain, html = text_of(message, "plain"), text_of(message, "html")
    assert "<script>" not in html
    assert r"a\r\nBcc: x@y" in plain
    assert "and 3 more" in plain
    assert "And 3 more" in html
    if typed.isprintable():
        assert typed in plain


def test_a_digest_that_names_all_counts_no_more(tmp_path: Path) -> None:
    assert "more" not in text_of(sent(COMPOSER, mail(leads=(lead(), lead(id=2)), lead_count=2)), "plain")


def test_an_address_outside_ascii_is_written_as_smtputf8_has_it() -> None:
    raw = COMPOSER.build(mail(recipient="zoë@example.com"))
    assert "To: zoë@example.com".encode() in raw


def test_a_firm_replaces_the_templates_it_wants(tmp_path: Path) -> None:
    (tmp_path / "confirmation.txt.jinja").write_text("Subject: Grüß Gott\n\nDanke, {{ firm }}.")
    message = sent(MessageBuilder(sender=SENDER, directory=tmp_path), mail(kind="confirmation"))
    assert message["Subject"] == "Grüß Gott"
    assert text_of(message, "plain").strip() == "Danke, Märple & Wimsey."
    assert "Thank you" in text_of(message, "html")


@pytest.mark.parametrize(
    "template",
    [
        "no subject\n\ntext",
        "Subject: \n\ntext",
        "Subject: x\n\n{{ lead.email }}",
        "Subject: x\n\n{% if %}",
        "Subject: x\n\n{{",
    ],
)
def test_a_template_that_does_not_work_is_refused_at_once(tmp_path: Path, template: str) -> None:
    (tmp_path / "confirmation.txt.jinja").write_text(template)
    with pytest.raises(TemplateInvalid, match="confirmation"):
        MessageBuilder(sender=SENDER, directory=tmp_path)

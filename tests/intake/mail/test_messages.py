"""Contents of mails."""

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
BUILDER = MessageBuilder(sender=SENDER, directory=None)
SUBMITTED = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


def mail(**changes: object) -> OutboxMessage:
    return dataclasses.replace(_SAMPLE, **changes)  # type: ignore[arg-type]


def lead(**changes: object) -> DigestLead:
    return dataclasses.replace(_SAMPLE.leads[0], **changes)  # type: ignore[arg-type]


def sent(builder: MessageBuilder, mail: OutboxMessage) -> EmailMessage:
    """Return the message as its recipient sees it."""
    raw = builder.build(mail)
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "RFC 5322, section 2.1.1"
    return message_from_bytes(raw, _class=EmailMessage, policy=default)


def text_of(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize("kind", ["confirmation", "alert"])
def test_headers(kind: str) -> None:
    message = sent(BUILDER, mail(kind=kind, message_id="<1@firm.example>"))
    assert message["From"] == "Märple & Wimsey <intake@firm.example>"
    assert message["To"] == "attorney@example.com"
    assert message["Message-ID"] == "<1@firm.example>"
    assert message["Date"] == "Thu, 01 Jan 2026 00:00:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"


def test_every_attempt_has_the_same_headers() -> None:
    one, other = (sent(BUILDER, mail(attempts=n)) for n in (1, 2))
    assert [one[name] for name in ("Message-ID", "Date", "Subject")] == [
        other[name] for name in ("Message-ID", "Date", "Subject")
    ]


@given(SUBMITTED, SUBMITTED, SUBMITTED)
def test_a_confirmation_contains_no_submitted_text(f_name: str, l_name: str, cv_name: str) -> None:
    submitted = mail(kind="confirmation", leads=(lead(f_name=f_name, l_name=l_name, cv_name=cv_name),))
    for kind in ("plain", "html"):
        assert text_of(sent(BUILDER, submitted), kind) == text_of(sent(BUILDER, mail(kind="confirmation")), kind)


@given(SUBMITTED)
def test_an_alert_shows_submitted_text_escaped(submitted: str) -> None:
    message = sent(BUILDER, mail(leads=(lead(f_name=submitted, l_name="</td><script>", cv_name="a\r\nBcc: x@y"),)))
    assert message["Subject"] == "New lead 1"
    assert message["Bcc"] is None
    assert "<script>" not in text_of(message, "html")
    assert "&lt;script&gt;" in text_of(message, "html")
    assert r"a\r\nBcc: x@y" in text_of(message, "plain")
    if submitted.isprintable():
        assert submitted in text_of(message, "plain")


@given(SUBMITTED)
def test_a_digest_shows_submitted_text_escaped(submitted: str) -> None:
    leads = (lead(id=7, f_name=submitted), lead(id=8, l_name="</td><script>", cv_name="a\r\nBcc: x@y"))
    message = sent(BUILDER, mail(leads=leads, lead_count=5))
    assert message["Subject"] == "5 new leads"
    assert message["Bcc"] is None
    plain, html = text_of(message, "plain"), text_of(message, "html")
    assert "<script>" not in html
    assert r"a\r\nBcc: x@y" in plain
    assert "and 3 more" in plain
    assert "And 3 more" in html
    if submitted.isprintable():
        assert submitted in plain


def test_a_digest_of_all_leads_mentions_no_more(tmp_path: Path) -> None:
    assert "more" not in text_of(sent(BUILDER, mail(leads=(lead(), lead(id=2)), lead_count=2)), "plain")


def test_a_non_ascii_address_is_written_in_utf8() -> None:
    raw = BUILDER.build(mail(recipient="zoë@example.com"))
    assert "To: zoë@example.com".encode() in raw


def test_single_templates_can_be_replaced(tmp_path: Path) -> None:
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
def test_an_invalid_template_is_rejected_at_once(tmp_path: Path, template: str) -> None:
    (tmp_path / "confirmation.txt.jinja").write_text(template)
    with pytest.raises(TemplateInvalid, match="confirmation"):
        MessageBuilder(sender=SENDER, directory=tmp_path)

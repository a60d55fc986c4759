"""Contents of mails."""

import base64
import dataclasses
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.errors import TemplateInvalid
from intake.form.definition import LANGUAGES
from intake.mail.digests import DigestLead
from intake.mail.messages import _SAMPLE, MessageBuilder, _escape, _template_lead
from intake.mail.outbox import OutboxMessage
from intake.mail.transports import DeliveryFailed
from intake.settings import Settings
from intake.settings.parsers import Contact, Mailbox, contact

SENDER = Mailbox("intake@firm.example", "Märple & Wimsey")
BUILDER = MessageBuilder(Settings(mail_from=SENDER))
HEADERS = {
    b"To",
    b"Date",
    b"Message-ID",
    b"Reply-To",
    b"From",
    b"Subject",
    b"Auto-Submitted",
    b"MIME-Version",
    b"Content-Type",
}
SUBMITTED = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


def mail(**changes: object) -> OutboxMessage:
    return dataclasses.replace(_SAMPLE, **changes)  # type: ignore[arg-type]


def lead(**changes: object) -> DigestLead:
    return _SAMPLE.leads[0]._replace(**changes)  # type: ignore[arg-type]


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
    submitted = mail(kind="confirmation", leads=(lead(f_name=f_name, l_name=l_name, CV_name=cv_name),))
    for kind in ("plain", "html"):
        assert text_of(sent(BUILDER, submitted), kind) == text_of(sent(BUILDER, mail(kind="confirmation")), kind)


@given(SUBMITTED)
def test_an_alert_shows_submitted_text_escaped(submitted: str) -> None:
    message = sent(BUILDER, mail(leads=(lead(f_name=submitted, l_name="</td><script>", CV_name="a\r\nBcc: x@y"),)))
    assert message["Subject"].startswith("New lead 1: ")
    assert len(message["Subject"]) <= len("New lead 1: ") + 80
    assert message["Bcc"] is None
    assert "<script>" not in text_of(message, "html")
    assert "&lt;script&gt;" in text_of(message, "html")
    assert r"a\r\nBcc: x@y" in text_of(message, "plain")
    if submitted.isprintable():
        assert submitted in text_of(message, "plain")


@given(SUBMITTED)
def test_a_digest_shows_submitted_text_escaped(submitted: str) -> None:
    leads = (lead(id=7, f_name=submitted), lead(id=8, l_name="</td><script>", CV_name="a\r\nBcc: x@y"))
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


def test_an_alert_of_one_lead_has_the_prospect_in_reply_to_and_subject() -> None:
    message = sent(BUILDER, mail(leads=(lead(email="ada@exämple.com", f_name="Žofie", l_name="Łąka"),)))
    assert message["Subject"] == "New lead 1: Žofie Łąka"
    assert message["Reply-To"] == "ada@xn--exmple-cua.com"
    assert message["From"] == "Märple & Wimsey <intake@firm.example>"


def test_digests_and_confirmations_have_no_reply_to() -> None:
    for other in (mail(leads=(lead(), lead(id=2)), lead_count=2), mail(kind="confirmation")):
        assert sent(BUILDER, other)["Reply-To"] is None


def test_reply_to_can_be_turned_off() -> None:
    assert sent(MessageBuilder(Settings(mail_from=SENDER, alert_reply_to=False)), mail())["Reply-To"] is None


def test_reply_to_has_no_encoded_word() -> None:
    raw = BUILDER.build(mail(leads=(lead(email="=?utf-8?q?=E2=80=AE?=@example.com"),)))
    assert b"Reply-To" not in raw


ENCODED = base64.b64encode(b"x@a.example\r\nSubject: Your invoice\r\nContent-Type: text/html\r\n\r\n<a>").decode()
UNSAFE = [
    f"=?utf-8?b?{ENCODED}?=@example.com",
    "=?iso8859_7?q?=80=FF=5C?=@example.com",
    "ada@=?utf-8?q?=0D=0A?=.example",
    "a\r\nBcc: x@y.example",
    "a,b@example.com",
    "<b@example.com>",
    '"a b"@example.com',
    "a@b@example.com",
    "ada",
    "",
]


@pytest.mark.parametrize("kind", ["confirmation", "alert"])
@pytest.mark.parametrize("recipient", UNSAFE)
def test_a_stored_address_that_is_unsafe_in_a_header_fails_permanently(kind: str, recipient: str) -> None:
    with pytest.raises(DeliveryFailed, match="can't be written into a mail header") as failure:
        BUILDER.build(mail(kind=kind, recipient=recipient))
    assert failure.value.permanent


@given(
    st.one_of(SUBMITTED, st.emails(), st.from_regex(r"[!-~é]{1,20}@[!-~é]{1,20}", fullmatch=True)),
    st.one_of(st.text(), st.sampled_from(UNSAFE), st.text("=?utf-8bq AE0D\r\n:", max_size=90)),
    st.sampled_from([("confirmation", 1), ("alert", 1), ("alert", 2)]),
)
def test_the_bytes_of_a_mail_have_exactly_the_expected_headers(address: str, name: str, kind: tuple[str, int]) -> None:
    leads = (lead(email=address, f_name=name, l_name=name), lead(email=address, f_name=name))
    written = mail(kind=kind[0], recipient=address, leads=leads[: kind[1]], lead_count=kind[1])
    builder = MessageBuilder(Settings(mail_from=Mailbox("intake@firm.example", name if name.isprintable() else "")))
    try:
        raw = builder.build(written)
    except DeliveryFailed:
        raw = builder.build(dataclasses.replace(written, recipient="harriet@firm.example"))
    head = raw.partition(b"\r\n\r\n")[0]
    assert b"\r" not in head.replace(b"\r\n", b"")
    assert b"\n" not in head.replace(b"\r\n", b"")
    fields = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    expected = sorted(HEADERS - {b"Reply-To"} | ({b"Reply-To"} if b"Reply-To" in fields else set()))
    assert sorted(fields) == expected
    assert sum(b"=?" in line for line in head.split(b"\r\n") if line.startswith((b"To:", b"Reply-To:"))) == 0


@pytest.mark.parametrize(
    "name", ["Märple & Wimsey", "Marple, Wimsey", '"Marple"', "x" * 200, "é" * 200, "=?utf-8?q?=0D=0ABcc:_x?=", ""]
)
def test_the_sender_is_shown_as_configured(name: str) -> None:
    raw = MessageBuilder(Settings(mail_from=Mailbox("intake@firm.example", name))).build(mail())
    shown, address = parseaddr(message_from_bytes(raw)["From"])
    assert (str(make_header(decode_header(shown))), address) == (name, "intake@firm.example")


def test_reply_to_never_makes_an_alert_depend_on_smtputf8() -> None:
    raw = BUILDER.build(mail(leads=(lead(email="zoë@example.com"),)))
    assert raw.isascii()
    assert b"Reply-To" not in raw


@given(st.from_regex(r"\A[^\x00]{0,20}[\r\n<>,;=?\"a-zé\u202e]{1,20}@[a-z\r\n .]{1,12}\Z"))
def test_reply_to_is_one_plain_address_or_absent(email: str) -> None:
    raw = BUILDER.build(mail(leads=(lead(email=email),)))
    lines = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    values = [line.removeprefix(b"Reply-To: ") for line in lines if line.lower().startswith(b"reply-to")]
    assert values in ([], [email.strip().encode()])
    assert {line.partition(b":")[0] for line in lines if line[:1] not in (b" ", b"\t")} <= HEADERS


@given(st.text(), st.text())
def test_a_name_adds_no_header_and_no_hidden_text_to_the_subject(f_name: str, l_name: str) -> None:
    message = sent(BUILDER, mail(leads=(lead(f_name=f_name, l_name=l_name),)))
    assert {name.encode() for name in message.keys()} <= HEADERS  # noqa: SIM118
    assert all(c.isprintable() or c in "\u200c\u200d" for c in message["Subject"])


def test_a_name_that_looks_like_an_encoded_word_is_not_decoded() -> None:
    message = sent(BUILDER, mail(leads=(lead(f_name="=?utf-8?q?=E2=80=AE=0D=0ABcc:=20x@y?=", l_name="x"),)))
    assert message["Subject"] == "New lead 1: =?utf-8?q?=E2=80=AE=0D=0ABcc:=20x@y?= x"


@given(st.text("ab é字👩=?_\u200c", min_size=1, max_size=90))
def test_a_long_subject_arrives_unchanged(name: str) -> None:
    shown = str(_template_lead(lead(f_name=name))["name"])
    assert sent(BUILDER, mail(leads=(lead(f_name=name),)))["Subject"] == f"New lead 1: {shown}"


def test_joiners_survive_in_names_and_emoji() -> None:
    names = ["امید\u200cعلی", "ශ්\u200dරී", "രാജന്\u200d", "👩🏽\u200d💻", "❤️\u200d🔥"]
    assert [_escape(name) for name in names] == names
    message = sent(BUILDER, mail(leads=(lead(f_name=names[0], l_name=names[3]),)))
    for shown in (message["Subject"], text_of(message, "plain"), text_of(message, "html")):
        assert f"{names[0]} {names[3]}" in shown


@pytest.mark.parametrize(
    "name", ["Ada\u200dLovelace", "\u200cAda", "علی\u200d", "A\u202eda", "ع\u200c\u200cل", "ع\u200bل"]
)
def test_other_invisible_characters_are_escaped(name: str) -> None:
    assert "\\u20" in _escape(name)
    assert "\u202e" not in _escape(name)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "confirmation"}, {"kind": "alert"}, {"kind": "alert", "leads": (lead(), lead(id=2)), "lead_count": 2}],
)
def test_html_fits_a_phone_and_follows_its_dark_mode(changes: dict[str, object]) -> None:
    html = text_of(sent(BUILDER, mail(**changes)), "html")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert '<meta name="color-scheme" content="light dark">' in html


def test_html_isolates_what_the_sender_typed() -> None:
    leads = (lead(f_name="עדה", email="a@example.com", CV_name="c.pdf"), lead(id=2))
    for message in (sent(BUILDER, mail(leads=leads[:1])), sent(BUILDER, mail(leads=leads, lead_count=2))):
        html = text_of(message, "html")
        assert all(f"<bdi>{text}</bdi>" in html for text in ("עדה Lovelace", "a@example.com", "c.pdf"))


def test_a_confirmation_contains_the_contact_of_the_firm() -> None:
    text = "020 7946 0000 <office@firm.example>"
    settings = Settings(mail_from=SENDER, firm_contact=Contact(text), firm_url="https://firm.example/?a&b")
    builder = MessageBuilder(settings)
    message = sent(builder, mail(kind="confirmation"))
    plain, html = text_of(message, "plain").replace("\r\n", "\n"), text_of(message, "html")
    assert "please contact us: 020 7946 0000 <office@firm.example>\n" in plain
    assert plain.endswith("\nMärple & Wimsey\nhttps://firm.example/?a&b\n")
    assert "<bdi>020 7946 0000 &lt;office@firm.example&gt;</bdi>" in html
    assert '<a href="https://firm.example/?a&amp;b">' in html


def test_the_contact_in_a_confirmation_can_be_a_link() -> None:
    builder = MessageBuilder(Settings(mail_from=SENDER, firm_contact=contact("tel:+44-20-7946-0000")))
    message = sent(builder, mail(kind="confirmation"))
    assert "please contact us: +44-20-7946-0000" in text_of(message, "plain")
    assert '<bdi><a href="tel:+44-20-7946-0000">+44-20-7946-0000</a></bdi>' in text_of(message, "html")


def test_a_confirmation_without_settings_has_no_contact() -> None:
    message = sent(BUILDER, mail(kind="confirmation"))
    assert all(word not in text_of(message, kind) for kind in ("plain", "html") for word in ("contact", "None", "href"))


def test_single_templates_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "confirmation.txt.jinja").write_text("Subject: Grüß Gott\n\nDanke, {{ firm }}.")
    message = sent(MessageBuilder(Settings(mail_from=SENDER, mail_templates=tmp_path)), mail(kind="confirmation"))
    assert message["Subject"] == "Grüß Gott"
    assert text_of(message, "plain").strip() == "Danke, Märple & Wimsey."
    assert "Thank you" in text_of(message, "html")


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_any_text_arrives_as_it_is(tmp_path: Path, ends: str) -> None:
    lines = [".", "..", "From here", "--=_alternative--", "=3D=", "trailing \t", "漢" * 2_000, "x" * 10_000, "", "ü"]
    (tmp_path / "confirmation.txt.jinja").write_text(ends.join(["Subject: x", "", *lines, ""]), newline="")
    message = sent(MessageBuilder(Settings(mail_templates=tmp_path)), mail(kind="confirmation"))
    assert text_of(message, "plain").split("\r\n") == [*lines, ""]


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_a_confirmation_in_each_language_of_the_form(language: str) -> None:
    message = sent(BUILDER, mail(kind="confirmation", language=language))
    assert "Märple & Wimsey" in text_of(message, "plain")
    assert text_of(message, "html").startswith(f'<!doctype html>\r\n<html lang="{language}"')


def test_a_confirmation_is_in_the_language_of_the_form_or_the_default() -> None:
    german = sent(BUILDER, mail(kind="confirmation", language="de"))
    assert german["Subject"] == "Ihre Angaben sind bei uns eingegangen"
    assert "Vielen Dank für Ihre Nachricht an Märple & Wimsey." in text_of(german, "plain")
    assert '<html lang="de">' in text_of(german, "html")
    for language in ("it", "en", "", None, "../alert"):
        other = sent(BUILDER, mail(kind="confirmation", language=language))
        assert other["Subject"] == "We have received your details"
    assert "Ada" in str(sent(BUILDER, mail(language="de"))["Subject"]), "alerts have no translations"


def test_own_translations_of_the_confirmation(tmp_path: Path) -> None:
    settings = Settings(mail_from=SENDER, mail_templates=tmp_path)
    for part in ("txt", "html"):
        (tmp_path / f"confirmation.fr.{part}.jinja").write_text("Subject: Merci\n\nMerci.")
    builder = MessageBuilder(settings)
    subjects = [sent(builder, mail(kind="confirmation", language=one))["Subject"] for one in ("fr", "de", "en")]
    assert subjects == ["Merci", "Ihre Angaben sind bei uns eingegangen", "We have received your details"]


def test_an_own_confirmation_replaces_our_translations(tmp_path: Path) -> None:
    (tmp_path / "confirmation.txt.jinja").write_text("Subject: Our own words\n\nx")
    builder = MessageBuilder(Settings(mail_from=SENDER, mail_templates=tmp_path))
    for language in ("de", None):
        assert sent(builder, mail(kind="confirmation", language=language))["Subject"] == "Our own words"


def test_half_a_translation_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "confirmation.it.txt.jinja").write_text("Subject: Grazie\n\nGrazie.")
    with pytest.raises(TemplateInvalid, match=r"confirmation\.it"):
        MessageBuilder(Settings(mail_from=SENDER, mail_templates=tmp_path))


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
        MessageBuilder(Settings(mail_from=SENDER, mail_templates=tmp_path))

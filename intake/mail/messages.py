"""Messages, rendered from templates that an organization can replace."""

import binascii
import dataclasses
import re
import unicodedata
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime, formataddr
from pathlib import Path

from email_validator import EmailNotValidError, validate_email
from jinja2 import Environment

from intake.errors import TemplateInvalid
from intake.mail.digests import DigestLead
from intake.mail.outbox import OutboxMessage
from intake.mail.transports import DeliveryFailed
from intake.settings import Settings
from intake.settings.parsers import Mailbox
from intake.settings.trusted_templates import RENDERING_ERRORS, describe_error, templates

_BOUNDARY = "=_alternative"  # never in quoted-printable text
_MULTIPART = f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="{_BOUNDARY}"\r\n\r\n'.encode()
MAX_SUBJECT_NAME_CHARACTERS = 80
MAX_PLAIN_TEXT = 60  # longer header fields would have to be folded
_ADDRESS = re.compile(r'[^\s"(),:;<>@[\\\]]+@[^\s"(),:;<>@[\\\]]+')  # without quotes, comments and lists
_DEFAULT = re.compile(r"confirmation\.(txt|html)\.jinja")
_TRANSLATED = re.compile(r"confirmation\.([a-z]{2,3}(?:-[A-Z]{2})?)\.(?:txt|html)\.jinja")
_JOINERS = "\u200c\u200d"
_JOINED = ("Lo", "Mn", "Mc", "So", "Sk")  # letters without case (such as Persian), their marks, and parts of emoji
_VIRAMA = 9  # the combining class of marks after which a joiner may end a word (RFC 5892, appendix A.1)
_NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
_SAMPLE = OutboxMessage(
    id=1,
    claim="",
    kind="alert",
    recipient="attorney@example.com",
    message_id="<sample@example.com>",
    created_at=_NEW_YEAR,
    queued_since=_NEW_YEAR,
    attempts=1,
    claimed_at=_NEW_YEAR,
    leads=(DigestLead(1, "ada@example.com", "Ada", "Lovelace", "cv.pdf", _NEW_YEAR),),
    lead_count=1,
)


def _is_html(template: str | None) -> bool:
    return template is not None and template.endswith(".html.jinja")


class MessageBuilder:
    """Builds messages from `<kind>.txt.jinja`, whose first line is `Subject: …`, and `<kind>.html.jinja`.

    Files in the settings' directory replace the service's templates of the same name. `confirmation.<language>` is the
    confirmation in a language of the form. Raises TemplateInvalid if a template can't be rendered.
    """

    def __init__(self, settings: Settings) -> None:
        self._sender = settings.mail_from
        firm = self._sender.display_name or self._sender.domain
        contact = {"firm_contact": settings.firm_contact, "firm_url": settings.firm_url}
        self._firm = {"firm": firm, **contact}
        self._has_reply_to = settings.alert_reply_to
        self._templates = templates(
            "intake.mail", folder="templates", directory=settings.mail_templates, autoescape=_is_html
        )
        languages = _languages(self._templates, settings.mail_templates)
        # the part that all confirmations share: rendering it takes one to two milliseconds
        self._confirmations = {one: self._content(_confirmation(one)) for one in (None, *languages)}
        for count in (1, 2):
            self.build(dataclasses.replace(_SAMPLE, lead_count=count))

    def build(self, mail: OutboxMessage) -> bytes:
        """Return the message in plain text with an HTML alternative.

        It is in ASCII, which any relay accepts, unless an address requires SMTPUTF8. Message-ID and Date are the same
        in every attempt. An alert of one lead has the prospect's address in Reply-To. Raises TemplateInvalid, or
        DeliveryFailed for an address that is unsafe in a header.
        """
        if not _is_safe(mail.recipient):  # stored by an earlier version
            raise DeliveryFailed("the recipient's address can't be written into a mail header", permanent=True)
        to = f"To: {mail.recipient}\r\n".encode()
        unique = f"Date: {format_datetime(mail.created_at)}\r\nMessage-ID: {mail.message_id}\r\n".encode()
        if mail.kind == "confirmation":
            return to + unique + self._confirmations.get(mail.language, self._confirmations[None])
        has_reply_to = self._has_reply_to and mail.lead_count == 1
        reply_to = _reply_to(mail.leads[0].email) if has_reply_to else b""
        return to + unique + reply_to + self._content(mail)

    def _content(self, mail: OutboxMessage) -> bytes:
        """Return a message without To, Date and Message-ID. Auto-Submitted (RFC 3834) prevents automatic replies.

        EmailMessage takes 1.7 ms for each, which is more than its delivery.
        """
        subject, text, html = self._render(mail)
        head = _from(self._sender) + _text_field("Subject", subject) + b"Auto-Submitted: auto-generated\r\n"
        return head + _MULTIPART + _part("plain", text) + _part("html", html) + f"--{_BOUNDARY}--\r\n".encode()

    def _render(self, mail: OutboxMessage) -> tuple[str, str, str]:
        name = "digest" if mail.lead_count > 1 else mail.kind
        values = self._values(name, mail)
        name = f"{name}.{mail.language}" if name == "confirmation" and mail.language else name
        try:
            texts = [self._templates.get_template(f"{name}.{part}.jinja") for part in ("txt", "html")]
            text, html = (template.render(values) for template in texts)
        except RENDERING_ERRORS as error:
            raise TemplateInvalid(describe_error(name, error)) from error
        head, _, body = text.partition("\n")
        label, _, subject = head.partition(": ")
        if label != "Subject" or not subject.strip():
            raise TemplateInvalid(f"{name}.txt.jinja: the first line must be 'Subject: …'")
        return subject.strip(), body.lstrip("\n"), html

    def _values(self, name: str, mail: OutboxMessage) -> dict[str, object]:
        """Return the variables of a template; the confirmation's contain nothing that the sender typed."""
        if name == "alert":
            return {**self._firm, "lead": _template_lead(mail.leads[0])}
        if name == "digest":
            return {**self._firm, "leads": [_template_lead(lead) for lead in mail.leads], "count": mail.lead_count}
        return {**self._firm}


def _confirmation(language: str | None) -> OutboxMessage:
    return dataclasses.replace(_SAMPLE, kind="confirmation", language=language)


def _languages(templates: Environment, directory: Path | None) -> set[str]:
    """Return the languages of the confirmation, besides the default.

    If the organization replaces the confirmation, ours in other languages would say something else.
    """
    names = templates.list_templates()
    if directory is not None and any((directory / name).exists() for name in names if _DEFAULT.fullmatch(name)):
        names = [name for name in names if (directory / name).exists()]
    return {found[1] for name in names if (found := _TRANSLATED.fullmatch(name))}


def _is_safe(address: str) -> bool:
    """Return whether an address is one header field's value as it is, without encoded words (RFC 2047)."""
    return _ADDRESS.fullmatch(address) is not None and address.isprintable() and "=?" not in address


def _part(subtype: str, text: str) -> bytes:
    """Return a part of the message in ASCII, with the text as quoted-printable (RFC 2045, section 6.7)."""
    head = f"--{_BOUNDARY}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
    body = binascii.b2a_qp(b"".join(line + b"\r\n" for line in text.encode().splitlines()))
    return f"{head}Content-Transfer-Encoding: quoted-printable\r\n\r\n".encode() + body + b"\r\n"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and len(text) <= MAX_PLAIN_TEXT and "=?" not in text


def _text_field(name: str, text: str) -> bytes:
    """Return the header field, with encoded words (RFC 2047) unless the text is short, plain and contains none.

    EmailMessage would decode encoded words that a sender typed, and its folding drops spaces.
    """
    value = text if _is_plain(text) else Header(text, "utf-8", header_name=name).encode(linesep="\r\n")
    return f"{name}: {value}\r\n".encode("ascii")


def _from(sender: Mailbox) -> bytes:
    if not sender.display_name or _is_plain(sender.display_name):
        return f"From: {formataddr((sender.display_name, sender.address))}\r\n".encode("ascii")
    return _text_field("From", sender.display_name).removesuffix(b"\r\n") + f" <{sender.address}>\r\n".encode("ascii")


def _reply_to(email: str) -> bytes:
    """Return the header field, or nothing for an unsafe address, or one that requires SMTPUTF8.

    The relay may not support SMTPUTF8.
    """
    try:
        address = validate_email(email, check_deliverability=False).ascii_email
    except EmailNotValidError:
        return b""
    return f"Reply-To: {address}\r\n".encode("ascii") if address and _is_safe(address) else b""


def _template_lead(lead: DigestLead) -> dict[str, object]:
    fields = {name: _escape(value) if isinstance(value, str) else value for name, value in lead._asdict().items()}
    name = f"{fields['f_name']} {fields['l_name']}"
    is_short = len(name) <= MAX_SUBJECT_NAME_CHARACTERS
    return {**fields, "name": name if is_short else f"{name[: MAX_SUBJECT_NAME_CHARACTERS - 1]}…"}


def _escape(text: str) -> str:
    """Escape invisible characters and those that change the direction of text, except joiners in names and emoji."""
    if text.isprintable():
        return text
    parts = zip(" " + text, text, text[1:] + " ", strict=False)
    return "".join(
        c if c.isprintable() or _is_joiner(before, c, after) else c.encode("unicode_escape").decode("ascii")
        for before, c, after in parts
    )


def _is_joiner(before: str, character: str, after: str) -> bool:
    if character not in _JOINERS or unicodedata.category(before) not in _JOINED:
        return False
    return unicodedata.category(after) in _JOINED or unicodedata.combining(before) == _VIRAMA

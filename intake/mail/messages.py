"""Messages, rendered from templates that an organization can replace."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from email.utils import format_datetime
from functools import cache
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from intake.errors import TemplateInvalid
from intake.mail.digests import DigestLead
from intake.mail.outbox import OutboxMessage
from intake.settings.parsers import Mailbox
from intake.settings.trusted_files import ownership_fault

_ASCII, _UTF8 = (policy.clone(cte_type="7bit") for policy in (SMTP, SMTPUTF8))
_SAMPLE = OutboxMessage(
    id=1,
    claim="",
    kind="alert",
    recipient="attorney@example.com",
    message_id="<sample@example.com>",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    age_s=0.0,
    attempts=1,
    leads=(DigestLead(1, "ada@example.com", "Ada", "Lovelace", "cv.pdf", datetime(2026, 1, 1, tzinfo=UTC)),),
    lead_count=1,
)


class _CustomTemplates(FileSystemLoader):
    """An organization's templates; each file must be writable by its owner only."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, filename, is_current = super().get_source(environment, template)
        if fault := ownership_fault(Path(filename)):
            raise TemplateInvalid(f"the mail template {fault}")
        return source, filename, is_current


@cache
def _templates(directory: Path | None) -> Environment:
    custom = [_CustomTemplates(directory)] if directory else []
    return ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([*custom, PackageLoader("intake.mail")]),
        autoescape=lambda name: name is not None and name.endswith(".html.jinja"),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class MessageBuilder:
    """Builds messages from `<kind>.txt.jinja`, whose first line is `Subject: …`, and `<kind>.html.jinja`.

    Files in `directory` replace the service's templates of the same name. Raises TemplateInvalid if one can't be
    rendered.
    """

    def __init__(self, *, sender: Mailbox, directory: Path | None) -> None:
        self._sender = sender
        self._templates = _templates(directory)
        confirmation = dataclasses.replace(_SAMPLE, kind="confirmation")
        # the part that all confirmations share: rendering it takes one to two milliseconds
        self._confirmations = {policy: self._content(confirmation, policy) for policy in (_ASCII, _UTF8)}
        for count in (1, 2):
            self.build(dataclasses.replace(_SAMPLE, lead_count=count))

    def build(self, mail: OutboxMessage) -> bytes:
        """Return the message in plain text with an HTML alternative.

        It is in ASCII, which any relay accepts, unless an address requires SMTPUTF8. Message-ID and Date are the same
        in every attempt. Raises TemplateInvalid.
        """
        policy = _ASCII if (self._sender.address + mail.recipient).isascii() else _UTF8
        username, _, domain = mail.recipient.rpartition("@")
        to = policy.fold_binary(*policy.header_store_parse("To", Address(username=username, domain=domain)))
        unique = f"Date: {format_datetime(mail.created_at)}\r\nMessage-ID: {mail.message_id}\r\n".encode()
        is_confirmation = mail.kind == "confirmation"
        return to + unique + (self._confirmations[policy] if is_confirmation else self._content(mail, policy))

    def _content(self, mail: OutboxMessage, policy: "EmailPolicy[EmailMessage]") -> bytes:
        """Return a message without To, Date and Message-ID. Auto-Submitted (RFC 3834) prevents automatic replies."""
        subject, text, html = self._render(mail)
        message = EmailMessage(policy=policy)
        message["From"] = Address(self._sender.display_name, addr_spec=self._sender.address)
        message["Subject"] = subject
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        message.add_alternative(html, subtype="html")
        return message.as_bytes()

    def _render(self, mail: OutboxMessage) -> tuple[str, str, str]:
        firm = self._sender.display_name or self._sender.domain
        name = "digest" if mail.lead_count > 1 else mail.kind
        # the confirmation gets nothing that the sender typed, so that no template can forward it
        values: dict[str, object] = {"firm": firm}
        if name == "alert":
            values["lead"] = _template_lead(mail.leads[0])
        if name == "digest":
            values.update(leads=[_template_lead(lead) for lead in mail.leads], count=mail.lead_count)
        try:
            texts = [self._templates.get_template(f"{name}.{part}.jinja") for part in ("txt", "html")]
            text, html = (template.render(values) for template in texts)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TemplateInvalid(f"the mail template {name!r} can't be rendered: {error}") from error
        head, _, body = text.partition("\n")
        label, _, subject = head.partition(": ")
        if label != "Subject" or not subject.strip():
            raise TemplateInvalid(f"{name}.txt.jinja: the first line must be 'Subject: …'")
        return subject.strip(), body.lstrip("\n"), html


def _template_lead(lead: DigestLead) -> dict[str, object]:
    return {
        "id": lead.id,
        "email": _escape(lead.email),
        "f_name": _escape(lead.f_name),
        "l_name": _escape(lead.l_name),
        "CV_name": _escape(lead.cv_name),
        "created_at": lead.created_at,
    }


def _escape(text: str) -> str:
    """Escape invisible characters and those that change the direction of text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)

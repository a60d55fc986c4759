"""What a mail says: a message made from templates, which a firm can replace with its own."""

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


class _OwnTemplates(FileSystemLoader):
    """A firm's own templates, of which each file must be one that nobody else can write."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, filename, is_current = super().get_source(environment, template)
        if fault := ownership_fault(Path(filename)):
            raise TemplateInvalid(f"the mail template {fault}")
        return source, filename, is_current


@cache
def _templates(directory: Path | None) -> Environment:
    own = [_OwnTemplates(directory)] if directory else []
    return ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([*own, PackageLoader("intake.mail")]),
        autoescape=lambda name: name is not None and name.endswith(".html.jinja"),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class MessageBuilder:
    """Makes messages from `<kind>.txt.jinja`, whose first line is `Subject: …`, and `<kind>.html.jinja`.

    `directory` may hold a firm's own files of those names; the service's stand in for those it lacks.
    Raises TemplateInvalid where one of them can't be rendered.
    """

    def __init__(self, *, sender: Mailbox, directory: Path | None) -> None:
        self._sender = sender
        self._templates = _templates(directory)
        confirmation = dataclasses.replace(_SAMPLE, kind="confirmation")
        # what all confirmations have in common, which is nearly all: making it takes a millisecond or two
        self._confirmations = {policy: self._content(confirmation, policy) for policy in (_ASCII, _UTF8)}
        for count in (1, 2):
            self.build(dataclasses.replace(_SAMPLE, lead_count=count))

    def build(self, mail: OutboxMessage) -> bytes:
        """Return the mail's message as it is sent: plain text with an HTML alternative.

        It is in ASCII, for any relay, unless an address is not: then it is SMTPUTF8's. Message-ID and Date are the owed
        mail's own, the same in every attempt. Raises TemplateInvalid.
        """
        policy = _ASCII if (self._sender.address + mail.recipient).isascii() else _UTF8
        username, _, domain = mail.recipient.rpartition("@")
        to = policy.fold_binary(*policy.header_store_parse("To", Address(username=username, domain=domain)))
        own = f"Date: {format_datetime(mail.created_at)}\r\nMessage-ID: {mail.message_id}\r\n".encode()
        is_common = mail.kind == "confirmation"
        return to + own + (self._confirmations[policy] if is_common else self._content(mail, policy))

    def _content(self, mail: OutboxMessage, policy: "EmailPolicy[EmailMessage]") -> bytes:
        """Return a message without what is the mail's own. Auto-Submitted (RFC 3834) keeps auto-responders silent."""
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
        # the confirmation is given nothing that the sender typed, so no template can send it on
        known: dict[str, object] = {"firm": firm}
        if name == "alert":
            known["lead"] = _shown(mail.leads[0])
        if name == "digest":
            known.update(leads=[_shown(lead) for lead in mail.leads], count=mail.lead_count)
        try:
            texts = [self._templates.get_template(f"{name}.{part}.jinja") for part in ("txt", "html")]
            text, html = (template.render(known) for template in texts)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TemplateInvalid(f"the mail template {name!r} can't be rendered: {error}") from error
        head, _, body = text.partition("\n")
        label, _, subject = head.partition(": ")
        if label != "Subject" or not subject.strip():
            raise TemplateInvalid(f"{name}.txt.jinja: the first line must be 'Subject: …'")
        return subject.strip(), body.lstrip("\n"), html


def _shown(lead: DigestLead) -> dict[str, object]:
    return {
        "id": lead.id,
        "email": _visible(lead.email),
        "f_name": _visible(lead.f_name),
        "l_name": _visible(lead.l_name),
        "CV_name": _visible(lead.cv_name),
        "created_at": lead.created_at,
    }


def _visible(text: str) -> str:
    """Escape what a reader can't see and what turns the text's direction around."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)

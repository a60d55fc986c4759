"""A test SMTP relay that can simulate faults."""

import asyncio
import os
import threading
import time
import weakref
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from random import Random
from typing import Any, AnyStr

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.system.programs import free_port

FOREVER_S = 3600


@dataclass
class Relay:
    """An SMTP server that records accepted mails and simulates the configured faults.

    - `refuses` maps recipients to replies; `refuses_all` is a reply to every recipient.
    - `hangs_for`: recipients that never get a reply; `hangs_after_taking`: recipients whose mail is accepted first.
    - `login`: the reply to every login; without it, no login is offered.
    - `drops`: the number of mails to accept and then close the connection without a reply.
    - `drops_each_once`: do so with every mail that was not accepted before.
    - `byte_delay_s`: the delay before each byte of a reply.
    - `niceness` of its thread, on Linux.
    - `received` counts the mails whose content has arrived, and `unanswered` those accepted without a reply.
    """

    refuses: dict[str, str] = field(default_factory=dict)
    refuses_all: str | None = None
    hangs_for: set[str] = field(default_factory=set)
    hangs_after_taking: set[str] = field(default_factory=set)
    login: str | None = None
    drops: int = 0
    drops_each_once: bool = False
    delay_s: float = 0.0
    byte_delay_s: float = 0.0
    niceness: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    taken_at: list[float] = field(default_factory=list)
    received: int = 0
    unanswered: int = 0
    connections: int = 0
    logins: int = 0
    port: int = field(default_factory=free_port)
    _known: set[str] = field(default_factory=set)
    _arrived: threading.Condition = field(default_factory=threading.Condition)
    _controller: "_Controller | None" = None

    def open(self) -> None:
        """Listen, always on the same port; do nothing if already listening."""
        if self._controller is not None:
            return
        self._controller = _Controller(
            self, hostname="127.0.0.1", port=self.port, enable_SMTPUTF8=True, auth_require_tls=False
        )
        self._controller.start()

    def close(self) -> None:
        """Stop listening and abort open connections."""
        if self._controller is not None:
            self._controller.break_connections()
            self._controller.stop(no_assert=True)
            self._controller = None

    def heal(self) -> None:
        """Remove all faults."""
        self.refuses, self.refuses_all = {}, None
        self.hangs_for, self.hangs_after_taking = set(), set()
        self.drops, self.drops_each_once = 0, False
        self.byte_delay_s = 0.0

    def wait_for(self, count: int, *, within_s: float = 20.0) -> list[EmailMessage]:
        """Wait for this number of accepted mails and return all of them."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.taken) >= count, within_s), self.taken
        return self.taken

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses if self.login is None else [*responses[:-1], "250-AUTH PLAIN", responses[-1]]

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.hangs_for:
            await asyncio.sleep(FOREVER_S)
        if reply := self.refuses_all or self.refuses.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        message = message_from_bytes(envelope.original_content or b"", _class=EmailMessage, policy=default)
        [recipient] = envelope.rcpt_tos
        self.received += 1
        await asyncio.sleep(self.delay_s)
        is_new = str(message["Message-ID"]) not in self._known
        self._take(message)
        if recipient in self.hangs_after_taking:
            self.unanswered += 1
            await asyncio.sleep(FOREVER_S)
        if self.drops or (self.drops_each_once and is_new):
            self.drops = max(0, self.drops - 1)
            self.unanswered += 1
            _abort(server)
        return "250 OK"

    async def auth_PLAIN(self, _server: SMTP, _arguments: list[str]) -> Any:  # noqa: N802
        self.logins += 1
        return AuthResult(success=False, handled=False, message=self.login)

    def _take(self, message: EmailMessage) -> None:
        with self._arrived:
            self._known.add(str(message["Message-ID"]))
            self.taken.append(message)
            self.taken_at.append(time.monotonic())
            self._arrived.notify_all()


@dataclass
class FitfulRelay(Relay):
    """A relay that, until healed, fails one mail in four at random, before or after it accepts the mail."""

    random: Random = field(default_factory=lambda: Random(1))
    is_fitful: bool = True

    def heal(self) -> None:
        super().heal()
        self.is_fitful = False

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        chance = self.random.random() if self.is_fitful else 1.0
        if chance < 0.10:
            return "451 4.3.0 not now"
        if chance < 0.15:
            return "421 4.3.2 closing down"
        if chance < 0.20:
            _abort(server)
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.is_fitful and self.random.random() < 0.05:
            self.drops += 1
        return await super().handle_DATA(server, session, envelope)


class _Conversation(SMTP):
    """An SMTP connection that can send its replies byte by byte."""

    async def push(self, status: AnyStr) -> None:
        relay: Relay = self.event_handler
        if not relay.byte_delay_s:
            await super().push(status)
            return
        reply = status.encode() if isinstance(status, str) else status
        for byte in reply + b"\r\n":
            await asyncio.sleep(relay.byte_delay_s)
            self._writer.write(bytes([byte]))
            await self._writer.drain()


class _Controller(Controller):
    """A listening thread that tracks its connections."""

    def _run(self, ready_event: threading.Event) -> None:
        if self.handler.niceness:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self.handler.niceness)
        super()._run(ready_event)

    def factory(self) -> _Conversation:
        conversation = _Conversation(self.handler, **self.SMTP_kwargs)
        self._conversations.add(conversation)
        return conversation

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._conversations: weakref.WeakSet[_Conversation] = weakref.WeakSet()

    def break_connections(self) -> None:
        """Abort all open connections."""
        self.loop.call_soon_threadsafe(self._abort_all)

    def _abort_all(self) -> None:
        for conversation in list(self._conversations):
            _abort(conversation)


def _abort(conversation: SMTP) -> None:
    transport: Any = conversation.transport
    if transport is not None:
        transport.abort()

"""Real relays for real services."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.postgres import PostgresServer


@dataclass
class Relay:
    """An SMTP server that keeps what it takes, and misbehaves where it is told to.

    `refuses` maps recipients to the reply they get; `hangs_for` are those whose mail is never answered; `login` is the
    reply to every login, where one is asked for; `drops` is how many more mails are taken without a word, and their
    connection closed.
    """

    refuses: dict[str, str] = field(default_factory=dict)
    hangs_for: set[str] = field(default_factory=set)
    login: str | None = None
    drops: int = 0
    delay_s: float = 0.0
    taken: list[EmailMessage] = field(default_factory=list)
    connections: int = 0
    logins: int = 0
    port: int = 0
    _arrived: threading.Condition = field(default_factory=threading.Condition)

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
            await asyncio.sleep(3600)
        if reply := self.refuses.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        message = message_from_bytes(envelope.original_content or b"", _class=EmailMessage, policy=default)
        assert len(envelope.rcpt_tos) == 1
        await asyncio.sleep(self.delay_s)
        with self._arrived:
            self.taken.append(message)
            self._arrived.notify_all()
        if self.drops:
            self.drops -= 1
            transport: Any = server.transport
            transport.abort()
        return "250 OK"

    async def auth_PLAIN(self, _server: SMTP, _arguments: list[str]) -> Any:  # noqa: N802
        self.logins += 1
        return AuthResult(success=False, handled=False, message=self.login)

    def wait_for(self, count: int, *, within_s: float = 20.0) -> list[EmailMessage]:
        """Return what was taken, once it is so many."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.taken) >= count, within_s), self.taken
        return self.taken


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made.port = free.getsockname()[1]
    controller = Controller(made, hostname="127.0.0.1", port=made.port, enable_SMTPUTF8=True, auth_require_tls=False)
    controller.start()
    yield made
    controller.stop(no_assert=True)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may kill."""
    server = PostgresServer()
    server.start()
    yield server
    server.close()

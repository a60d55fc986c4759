"""Real relays for real services."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.postgres import PostgresServer


@dataclass
class Relay:
    """An SMTP server that keeps what it takes, and refuses whom it is told to, with the reply it is told to give."""

    refuses: dict[str, str] = field(default_factory=dict)
    taken: list[EmailMessage] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if reply := self.refuses.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        message = message_from_bytes(envelope.original_content or b"", _class=EmailMessage, policy=default)
        assert len(envelope.rcpt_tos) == 1
        with self._arrived:
            self.taken.append(message)
            self._arrived.notify_all()
        return "250 OK"

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
    controller = Controller(made, hostname="127.0.0.1", port=made.port, enable_SMTPUTF8=True)
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

"""Maildir permissions, and errors from relay replies."""

import asyncio
import mailbox
import os
import socketserver
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from intake.mail.transports import DeliveryFailed, MaildirTransport, SmtpTransport, _refused
from intake.settings.parsers import SmtpServer
from tests.local_server import LocalServer


@pytest.fixture
def default_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("default_umask")
def test_a_maildir_is_accessible_to_its_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "mails"
    for n in range(2):
        asyncio.run(MaildirTransport(directory).deliver(f"Subject: {n}\r\n\r\nHello\r\n".encode(), "ada@example.com"))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert [mode for path, mode in modes.items() if path.is_file()] == [0o600, 0o600]
    assert sorted(message["Subject"] for message in mailbox.Maildir(directory)) == ["0", "1"]
    assert not list((directory / "tmp").iterdir())


def test_an_emptied_maildir_is_created_again(tmp_path: Path) -> None:
    asyncio.run(MaildirTransport(tmp_path).deliver(b"Subject: 1\r\n\r\nHello\r\n", "ada@example.com"))
    assert len(mailbox.Maildir(tmp_path)) == 1


@pytest.mark.parametrize("code", [421, 450, 550])
def test_a_relays_reply_is_stored_and_not_logged(code: int) -> None:
    failure = _refused(code, "too much mail for <ada@example.com>", permanent=False)
    assert "ada@example.com" in str(failure)
    assert "ada@example.com" not in failure.logged
    assert str(code) in failure.logged


class Refusing(socketserver.StreamRequestHandler):
    """Greets a client, and refuses its greeting."""

    def handle(self) -> None:
        self.wfile.write(b"220 relay\r\n")
        while self.rfile.readline().strip():
            self.wfile.write(b"550 maintenance\r\n")


class Busy(socketserver.StreamRequestHandler):
    """Refuses EHLO, but not HELO, which tells no extensions."""

    def handle(self) -> None:
        self.wfile.write(b"220 relay\r\n")
        while line := self.rfile.readline():
            self.wfile.write(b"250 relay\r\n" if line.startswith(b"HELO") else b"503 try later\r\n")


@pytest.mark.parametrize(("handler", "message"), [(Refusing, "550 maintenance"), (Busy, "SMTPUTF8 is not supported")])
def test_a_refused_greeting_fails_no_mail(handler: type[socketserver.StreamRequestHandler], message: str) -> None:
    server = socketserver.TCPServer(("127.0.0.1", 0), handler)
    relay = SmtpServer(host="127.0.0.1", port=server.server_address[1], username=None, password=None, tls="off")

    async def deliver() -> None:
        transport = SmtpTransport(relay, sender="office@firm.example")
        try:
            await transport.deliver("Subject: ü\r\n\r\n".encode(), "ada@example.com")
        finally:
            await transport.close(send_quit=False)

    with LocalServer(server), pytest.raises(DeliveryFailed, match=message) as failed:
        asyncio.run(deliver())
    assert not failed.value.permanent

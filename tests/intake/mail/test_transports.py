"""Maildir permissions, and errors from relay replies."""

import asyncio
import mailbox
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from intake.mail.transports import MaildirTransport, _refused


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


@pytest.mark.parametrize("code", [421, 450, 550])
def test_a_relays_reply_is_stored_and_not_logged(code: int) -> None:
    failure = _refused(code, "too much mail for <ada@example.com>", permanent=False)
    assert "ada@example.com" in str(failure)
    assert "ada@example.com" not in failure.logged
    assert str(code) in failure.logged

"""Permissions of trusted files: only the service's user or root may be able to write them."""

import os
from pathlib import Path

import pytest

from intake.errors import SettingsInvalid, TemplateInvalid
from intake.mail.messages import MessageBuilder
from intake.settings import Settings, read_environment
from intake.settings.parsers import Mailbox
from intake.users.tokens import TokenSigner


def read(kind: str, directory: Path) -> None:
    """Read the file of this kind, as the service does at startup."""
    if kind == ".env":
        read_environment({}, directory)
    elif kind == "intake.db.secret":
        TokenSigner.from_settings(Settings(database_url=f"sqlite:///{directory}/intake.db"))
    else:
        MessageBuilder(Settings(mail_from=Mailbox("intake@firm.example"), mail_templates=directory))


KINDS = {
    ".env": "INTAKE_PORT=1\n",
    "intake.db.secret": "s" * 64,
    "confirmation.txt.jinja": "Subject: x\n\n{% include 'part' %}",
    "part": "Thank you",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A world-writable directory, because directory modes are not checked, with a file of each kind."""
    for name, text in KINDS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    tmp_path.chmod(0o777)
    return tmp_path


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no such modes")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_writable_by_others_is_refused_with_a_remedy(directory: Path, kind: str, mode: int) -> None:
    file = directory / kind
    file.chmod(mode)
    with pytest.raises((SettingsInvalid, TemplateInvalid), match=f"chmod go-w {file}"):
        read(kind, directory)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_user_is_refused(directory: Path, kind: str) -> None:
    os.chown(directory / kind, 12345, -1)
    with pytest.raises((SettingsInvalid, TemplateInvalid), match="belongs to another user"):
        read(kind, directory)


def test_values_in_a_refused_file_are_not_shown(directory: Path) -> None:
    (directory / ".env").write_text("INTAKE_JWT_SECRET=hush\n")
    (directory / ".env").chmod(0o666)
    with pytest.raises(SettingsInvalid) as raised:
        read(".env", directory)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    "expression",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ firm.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ '{0.__class__}'.format(firm) }}",
        "{% for n in range(10000000) %}{% endfor %}",
    ],
)
def test_templates_are_sandboxed(tmp_path: Path, expression: str) -> None:
    (tmp_path / "confirmation.txt.jinja").write_text(f"Subject: x\n\n{expression}")
    (tmp_path / "confirmation.txt.jinja").chmod(0o600)
    with pytest.raises(TemplateInvalid, match="can't be rendered"):
        MessageBuilder(Settings(mail_from=Mailbox("intake@firm.example"), mail_templates=tmp_path))

"""Checks for insecure settings."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from intake.cv_text import sandbox
from intake.settings import Settings
from intake.settings.checks import run_checks
from intake.settings.parsers import Mailbox, SmtpServer

RELAY = SmtpServer(host="mail.example", port=587, username="u", password="p", tls="required")
SECURE = Settings(
    database_url="postgresql+psycopg2://u:p@db.example/intake?sslmode=verify-full",
    jwt_secrets=("6f1d2c3b4a5968778695a4b3c2d1e0f0",),
    smtp_server=RELAY,
    mail_from=Mailbox("intake@firm.example"),
    attorney_emails=("harriet@firm.example",),
    trusted_proxies=(ip_network("10.0.0.1"),),
    allowed_hosts=("intake.firm.example",),
    host="0.0.0.0",
)


@pytest.mark.parametrize(
    ("mode", "warning"),
    [
        ("required", "no CV's text is extracted: the sandbox needs Landlock"),
        ("best-effort", "this system lacks Landlock: a crafted CV may run code"),
    ],
)
def test_a_system_without_a_part_of_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, warning: str
) -> None:
    monkeypatch.setattr(sandbox, "missing", lambda: ["Landlock"])
    [line] = run_checks(replace(SECURE, cv_sandbox=mode), tmp_path)
    assert warning in line
    assert run_checks(replace(SECURE, cv_sandbox=mode, cv_text=False), tmp_path) == []


def test_secure_settings_have_no_warnings(tmp_path: Path) -> None:
    assert run_checks(SECURE, tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"jwt_secrets": ("change-me" * 4, "a" * 32)}, "INTAKE_JWT_SECRET"),
        ({"open_registration": True}, "INTAKE_OPEN_REGISTRATION"),
        ({"trusted_proxies": ()}, "INTAKE_TRUSTED_PROXIES"),
        ({"allowed_hosts": ()}, "INTAKE_ALLOWED_HOSTS"),
        ({"rate_limits": ()}, "INTAKE_RATE_LIMIT"),
        ({"processes": 2}, "INTAKE_PROCESSES"),
        ({"cv_extensions": ()}, "INTAKE_CV_EXTENSIONS"),
        ({"cors_origins": ("http://www.example",)}, "INTAKE_CORS_ORIGINS"),
        ({"smtp_server": None}, "INTAKE_SMTP_URL"),
        ({"smtp_server": replace(RELAY, tls="opportunistic")}, "INTAKE_SMTP_URL"),
        ({"mail_from": Mailbox("intake@localhost")}, "INTAKE_MAIL_FROM"),
        ({"attorney_emails": ()}, "INTAKE_ATTORNEY_EMAILS"),
        ({"confirmations_per_hour": 0}, "INTAKE_CONFIRMATIONS_PER_HOUR"),
        ({"database_url": "postgresql+psycopg2://u:p@db.example/intake"}, "INTAKE_DATABASE_URL"),
        ({"database_url": "postgresql+psycopg2://u:p@/intake?host=db.example"}, "INTAKE_DATABASE_URL"),
    ],
)
def test_each_weak_setting_has_a_warning(tmp_path: Path, changes: dict[str, Any], setting: str) -> None:
    [line] = run_checks(replace(SECURE, **changes), tmp_path)
    assert line.startswith(setting) or setting in line
    assert ":p@" not in line


@pytest.mark.parametrize(
    "changes",
    [
        {"database_url": "postgresql+psycopg2://u:p@127.0.0.1/intake"},
        {"database_url": "postgresql+psycopg2:///intake?host=/run/postgresql"},
        {"host": "127.0.0.1", "trusted_proxies": (), "allowed_hosts": ()},
        {"cors_origins": ("http://localhost:3000", "https://www.example")},
    ],
)
def test_local_connections_have_no_warnings(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert run_checks(replace(SECURE, **changes), tmp_path) == []


def test_processes_with_a_limits_store_have_no_warnings(tmp_path: Path) -> None:
    assert run_checks(replace(SECURE, processes=2, limits_store="redis://127.0.0.1"), tmp_path) == []


def test_files_readable_by_others_have_warnings(tmp_path: Path) -> None:
    for name in ("intake.db", "intake.db.secret", ".env"):
        (tmp_path / name).touch(mode=0o600)
    settings = replace(SECURE, database_url=f"sqlite:///{tmp_path}/intake.db")
    assert run_checks(settings, tmp_path) == []
    for name in ("intake.db", "intake.db.secret", ".env"):
        (tmp_path / name).chmod(0o640)
    lines = run_checks(settings, tmp_path)
    assert len(lines) == 3
    assert all("chmod 600" in line for line in lines)

"""Warnings of `intake check` about the server of a database."""

import pytest
from typer.testing import CliRunner

from intake.cli import app
from tests.conftest import Databases
from tests.postgres import maintenance

SETTING = "log_min_error_statement"


def check(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("INTAKE_DATABASE_URL", url.replace("+psycopg2", ""))
    monkeypatch.setenv("INTAKE_JWT_SECRET", "0123456789abcdef" * 4)
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 1, "there are no users"
    assert "there are no users" in done.output
    return done.output


def test_a_log_with_the_values_of_failed_statements_is_reported(
    databases: Databases, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = databases.migrated_url()
    if url.startswith("sqlite"):
        assert SETTING not in check(url, monkeypatch)
        return
    assert SETTING in check(url, monkeypatch)
    for level in ("fatal", "panic"):
        url = databases.migrated_url()
        with maintenance(postgres_url) as cursor:
            name = url.rpartition("/")[2].partition("?")[0]
            cursor.execute(f"ALTER DATABASE {name} SET {SETTING} = {level}")
        assert SETTING not in check(url, monkeypatch)

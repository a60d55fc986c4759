"""A locked or unwritable database: 503, nothing saved, no submitted values in the log."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg2.extensions
import pytest
from sqlalchemy import text

from intake.database import engine, group_commit
from intake.database.schema import cv, lead
from tests.conftest import Intake
from tests.postgres import maintenance


@contextmanager
def locked(intake: Intake) -> Any:
    """Lock the lead table, as another process would."""
    file = intake.settings.sqlite_file
    if file is not None:
        connection: Any = sqlite3.connect(file, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
    else:
        connection = psycopg2.connect(intake.settings.database_url.replace("+psycopg2", ""))
        connection.cursor().execute("LOCK TABLE lead")
    try:
        yield
    finally:
        connection.close()


def test_the_wait_for_a_lock_is_bounded(start: Callable[..., Intake], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 300)
    monkeypatch.setattr(engine, "LOCK_TIMEOUT_S", 1)
    monkeypatch.setattr(group_commit, "TURN_TIMEOUT_S", 1)
    intake = start()
    with locked(intake), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: intake.submit(), range(8)))
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["title"] for answer in answers} == {"Database unavailable"}
    assert answers[0].headers["Retry-After"] == "5"
    assert max(answer.elapsed.total_seconds() for answer in answers) < 5
    assert intake.count(lead) == intake.count(cv) == 0
    assert intake.submit().status_code == 204


@pytest.mark.parametrize("setting", ["default_transaction_read_only=on", "role=pg_read_all_data"])
def test_an_unwritable_database_is_503(
    start: Callable[..., Intake], postgres_url: str, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    intake = start()
    if intake.settings.sqlite_file is not None:
        # no more pages may be added, as on a full disk
        monkeypatch.setattr(engine, "PRAGMAS", (*engine.PRAGMAS, "max_page_count=1"))
        intake = start()
    else:
        name = intake.read(lambda c: c.execute(text("SELECT current_database()")).scalar_one())
        with maintenance(postgres_url) as cursor:  # in another session, so that a pooler cannot reuse an open one
            cursor.execute(f"ALTER DATABASE {name} SET {setting}")
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    answer = intake.submit(CV=("x", b"x" * 100_000))
    assert (answer.status_code, answer.json()["title"]) == (503, "Database unavailable")
    assert intake.count(lead) == intake.count(cv) == 0


def test_database_errors_are_logged_without_submitted_values(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    intake.write(lambda c: c.execute(text("DROP TABLE outbox_mail")))
    answer = intake.submit(f_name="Secretname")
    assert answer.status_code in (500, 503)
    assert "Secretname" not in answer.text
    assert "Secretname" not in caplog.text
    assert intake.count(lead) == 0


def test_timeouts_apply_to_one_transaction_only(start: Callable[..., Intake], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 4_321)  # differs from the driver's default
    intake = start()
    if intake.settings.sqlite_file is not None:
        assert intake.read(lambda c: c.exec_driver_sql("PRAGMA busy_timeout").scalar_one()) == 4_321
        return
    limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    query = "SELECT pg_backend_pid()" + "".join(f", current_setting('{limit}')" for limit in limits)
    for run in (intake.read, intake.write):
        session, *values = run(lambda c: [c.exec_driver_sql(query).one() for _ in range(2)][1])
        assert values == ["15s", "5s", "15s"]
    # the same session, without the statements that the service sends first
    connection = intake.database._engine.raw_connection()
    cursor = connection.cursor(cursor_factory=psycopg2.extensions.cursor)
    cursor.execute(query)
    assert cursor.fetchone() == (session, "0", "0", "0")
    connection.close()

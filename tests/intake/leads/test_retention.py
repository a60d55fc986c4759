"""Retention: leads erased by the worker and by `intake purge`."""

import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, select, update
from typer.testing import CliRunner

from intake.cli import app
from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import audit, lead, outbox_mail
from intake.database.secure_delete import mark_deletion
from intake.errors import DatabaseUnavailable, SettingsInvalid
from intake.leads import erasure, states
from intake.settings import Settings
from tests.conftest import Intake, running_workers
from tests.intake.workers.test_mail import wait_for

RETENTION = (("DECLINED", 180), ("ENGAGED", 3650))


def old(intake: Intake, state: str, days: float) -> int:
    """Insert a lead that has been in the state for this number of days."""
    number = intake.submitted()
    since = Now(plus_s=-timedelta(days=days).total_seconds())
    intake.write(lambda c: c.execute(update(lead).where(lead.c.id == number).values(state=state, state_since=since)))
    return number


def remaining(intake: Intake) -> list[int]:
    return list(intake.read(lambda c: c.scalars(select(lead.c.id).order_by(lead.c.id)).all()))


def test_only_overdue_leads_are_erased(intake: Intake) -> None:
    gone = [old(intake, "DECLINED", 180.01), old(intake, "ENGAGED", 3651), old(intake, "DECLINED", 999)]
    stays = [old(intake, "DECLINED", 179.99), old(intake, "ENGAGED", 3649), old(intake, "PENDING", 9999)]
    assert erasure.preview_retention(intake.database, RETENTION) == {"DECLINED": 2, "ENGAGED": 1}
    assert sorted(erasure.purge(intake.database, RETENTION)) == [("DECLINED", 2), ("ENGAGED", 1)]
    assert remaining(intake) == stays
    query = select(audit.c.lead_id, audit.c.user_id, audit.c.client).where(audit.c.action == "retention")
    rows = intake.read(lambda c: c.execute(query.order_by(audit.c.lead_id)).all())
    assert [tuple(row) for row in rows] == [(number, None, None) for number in gone]
    assert list(erasure.purge(intake.database, RETENTION)) == []


def test_without_retention_nothing_is_erased(intake: Intake) -> None:
    old(intake, "DECLINED", 9999)
    assert list(erasure.purge(intake.database, intake.settings.retention_days)) == []
    assert len(remaining(intake)) == 1


def test_a_state_change_restarts_retention(intake: Intake) -> None:
    number = old(intake, "ENGAGED", 200)
    states.change_state(intake.database, number, to="DECLINED", expected=None, user_id=intake.user())
    assert list(erasure.purge(intake.database, RETENTION)) == []


def test_purge_works_in_batches(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "MAX_LEADS", 2)
    for _ in range(5):
        old(intake, "DECLINED", 200)
    assert list(erasure.purge(intake.database, RETENTION)) == [("DECLINED", 2), ("DECLINED", 2), ("DECLINED", 1)]


def test_a_lead_changed_meanwhile_is_not_erased(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [old(intake, "DECLINED", 200) for _ in range(3)]
    user, read = intake.user(), intake.database.read

    def read_and_move(work: Any) -> Any:
        found = read(work)
        if found == numbers:  # found but not locked yet
            states.change_state(intake.database, numbers[1], to="ENGAGED", expected=None, user_id=user)
        return found

    monkeypatch.setattr(intake.database, "read", read_and_move)
    assert list(erasure.purge(intake.database, RETENTION)) == [("DECLINED", 2)]
    monkeypatch.undo()
    assert remaining(intake) == [numbers[1]]


def test_concurrent_purges_erase_each_lead_once(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "MAX_LEADS", 2)
    numbers = [old(intake, "DECLINED", 200) for _ in range(9)]
    database = Database(intake.settings, connections=3)
    with ThreadPoolExecutor(3) as pool:
        counts = list(pool.map(lambda _: sum(n for _, n in erasure.purge(database, RETENTION)), range(3)))
    counts.append(sum(n for _, n in erasure.purge(database, RETENTION)))
    database.close()
    assert sum(counts) == len(numbers)
    entries = select(audit.c.lead_id).where(audit.c.action == "retention").order_by(audit.c.lead_id)
    assert list(intake.read(lambda c: c.scalars(entries).all())) == numbers


@pytest.mark.parametrize("locked", [lead, outbox_mail], ids=["lead", "mail"])
def test_locked_leads_are_reported_and_erased_later(
    intake: Intake, monkeypatch: pytest.MonkeyPatch, locked: Table
) -> None:
    if intake.settings.sqlite_file is not None:
        return  # SQLite has one writer at a time
    monkeypatch.setattr(erasure, "MAX_LEADS", 2)
    monkeypatch.setattr(erasure, "MAX_ATTEMPTS", 1)
    first, *others = [old(intake, "DECLINED", 200 - number) for number in range(5)]
    days = {"INTAKE_RETENTION_DAYS": "DECLINED=180"}
    other = Database(intake.settings, connections=1)

    def hold(connection: Connection) -> tuple[int, str]:
        column = lead.c.id if locked is lead else outbox_mail.c.lead_id
        connection.execute(select(column).where(column == first).with_for_update())
        return purge(intake, monkeypatch, **days)

    code, output = other.write(hold)
    other.close()
    kept = [first] if locked is lead else [first, others[0]]  # a locked mail keeps its batch
    assert remaining(intake) == kept
    assert (code, f"DECLINED: leads erased: {5 - len(kept)}\n" in output) == (1, True)
    in_use = ", ".join(map(str, kept))
    assert output.endswith(f"intake: leads in use, which can't be erased now: {in_use}; run this again\n")
    assert purge(intake, monkeypatch, **days)[0] == 0
    assert remaining(intake) == []


def test_a_locked_sqlite_file_is_reported(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    if intake.settings.sqlite_file is None:
        return
    old(intake, "DECLINED", 200)
    with closing(sqlite3.connect(intake.settings.sqlite_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable):
            list(erasure.purge(intake.database, RETENTION))
    assert list(erasure.purge(intake.database, RETENTION)) == [("DECLINED", 1)]


def test_the_worker_purges(start: Callable[..., Intake]) -> None:
    intake = start(retention_days=RETENTION, attorney_emails=())
    old(intake, "DECLINED", 200)
    stays = old(intake, "DECLINED", 2)
    with running_workers(intake):
        wait_for(lambda: remaining(intake) == [stays])


def purge(intake: Intake, monkeypatch: pytest.MonkeyPatch, *arguments: str, **settings: str) -> tuple[int, str]:
    monkeypatch.setenv("INTAKE_DATABASE_URL", intake.settings.database_url.replace("+psycopg2", ""))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["purge", *arguments])
    return done.exit_code, done.stderr


def test_the_purge_command(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    old(intake, "DECLINED", 200)
    days = {"INTAKE_RETENTION_DAYS": "ENGAGED=10,DECLINED=180"}
    code, output = purge(intake, monkeypatch, "--dry-run", **days)
    assert (code, "DECLINED: leads due: 1" in output, "ENGAGED: leads due: 0" in output) == (0, True, True)
    assert len(remaining(intake)) == 1
    code, output = purge(intake, monkeypatch, **days)
    assert (code, "DECLINED: leads erased: 1" in output) == (0, True)
    assert remaining(intake) == []


def test_without_retention_the_command_only_removes_deleted_data(
    intake: Intake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    old(intake, "DECLINED", 200)
    intake.write(mark_deletion)
    code, output = purge(intake, monkeypatch)
    if intake.settings.sqlite_file is None:
        assert code == 1, "PostgreSQL has nothing to remove"
    else:
        assert (code, "remains of erased leads in the database files: removed" in output) == (0, True)
        assert intake.read(lambda c: c.exec_driver_sql("PRAGMA user_version").scalar_one()) == 0
    assert len(remaining(intake)) == 1


def test_the_command_fails_while_deleted_data_remains(
    intake: Intake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if intake.settings.sqlite_file is None:
        return  # PostgreSQL has nothing to remove
    monkeypatch.chdir(tmp_path)
    old(intake, "DECLINED", 200)
    intake.write(mark_deletion)
    with closing(sqlite3.connect(intake.settings.sqlite_file)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM lead").fetchone()
        code, output = purge(intake, monkeypatch)
    assert (code, "not all removed yet; run this again" in output) == (1, True)
    assert purge(intake, monkeypatch)[0] == 0


def test_retention_of_an_unknown_state_is_rejected() -> None:
    with pytest.raises(SettingsInvalid) as raised:
        Settings.from_environment({"INTAKE_RETENTION_DAYS": "DECLINED=5,LOST=5", "INTAKE_STATES": "NEW,DECLINED"})
    assert str(raised.value) == "INTAKE_RETENTION_DAYS names LOST, which is not one of the states: NEW, DECLINED"


def test_overdue_leads_are_found_by_an_index(intake: Intake) -> None:
    query = (
        select(lead.c.id).where(*erasure._overdue_conditions("DECLINED", 180)).order_by(lead.c.state_since).limit(200)
    )

    def explain(connection: Any) -> str:
        sql = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        is_sqlite = connection.dialect.name == "sqlite"
        if not is_sqlite:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        rows = connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN ' if is_sqlite else ''}{sql}")
        return "\n".join(" ".join(map(str, row)) for row in rows)

    plan = intake.read(explain)
    assert "ix_lead_state_since" in plan
    assert not re.search("sort|temp b-tree", plan, re.IGNORECASE)

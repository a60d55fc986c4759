"""Migrations on PostgreSQL: turns, locks that do not block requests for long, and concurrent index builds."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest
from sqlalchemy import insert

from intake.database import AdvisoryLock, Database, migrations
from intake.database.migrations import migrate
from intake.database.schema import lead
from intake.errors import DatabaseUnavailable
from intake.settings import Settings
from tests.migrations.made import ADD_COLUMN, CREATE_INDEX, HEAD, AddSteps
from tests.postgres import database_url, maintenance

pytestmark = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
ROW = {"f_name": "A", "l_name": "B", "CV_name": "cv", "state": "PENDING"} | dict.fromkeys(
    ("email", "email_key", "f_name_key", "l_name_key"), "a"
)


@pytest.fixture
def server_url(postgres_url: str, migrated: Settings) -> str:
    """The URL of the migrated database at the server itself."""
    return database_url(postgres_url, migrated.database_url.rpartition("/")[2].partition("?")[0]).replace(
        "+psycopg2", ""
    )


def query(server_url: str, statement: str) -> Any:
    with maintenance(server_url) as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@contextmanager
def reader(server_url: str, seconds: float) -> Iterator[None]:
    """Read leads in a transaction that ends after some seconds, while the block runs."""
    with closing(psycopg2.connect(server_url)) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM lead")
        timer = threading.Timer(seconds, connection.rollback)
        timer.start()
        yield
        timer.join()


def submit(database: Database) -> float:
    """Insert a lead, and return the seconds."""
    before = time.monotonic()
    database.write(lambda connection: connection.execute(insert(lead).values(ROW)))
    return time.monotonic() - before


def test_submissions_succeed_while_a_step_waits_for_a_lock(
    migrated: Settings, server_url: str, add_steps: AddSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_steps(ADD_COLUMN)
    monkeypatch.setattr(migrations, "LOCK_PAUSE_S", 1.0)
    with closing(Database(migrated, connections=1)) as database, ThreadPoolExecutor() as pool:
        with reader(server_url, 8.0):
            migrating = pool.submit(migrate, migrated)
            waited = [submit(database)]
            while not migrating.done():
                waited.append(submit(database))
    assert migrating.result()
    assert 1.0 < max(waited) < 4.5, "a submission waited for the migration, but not for the reader"


def test_a_step_without_its_lock_is_given_up_after_the_earlier_steps(
    migrated: Settings, server_url: str, add_steps: AddSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_steps('op.create_table("t", sa.Column("id", sa.Integer(), primary_key=True))', ADD_COLUMN)
    monkeypatch.setattr(migrations, "LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(migrations, "LOCK_PAUSE_S", 0.1)
    with reader(server_url, 6.0):
        with pytest.raises(DatabaseUnavailable) as raised:
            migrate(migrated)
    assert "lock timeout" in (raised.value.reason or "")
    assert query(server_url, "SELECT version_num FROM alembic_version") == [("made0",)]
    assert migrate(migrated)


def test_a_concurrent_index_waits_longer_than_other_steps(
    migrated: Settings, server_url: str, add_steps: AddSteps, caplog: pytest.LogCaptureFixture
) -> None:
    add_steps(CREATE_INDEX)
    with reader(server_url, 3.0):
        assert migrate(migrated)
    assert "locks that the migration needs" not in caplog.text
    assert query(server_url, VALID) == [(True,)]


VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_lead_language'::regclass"


@pytest.mark.parametrize("is_valid", [False, True])
def test_an_index_of_an_interrupted_migration_is_completed(
    migrated: Settings, server_url: str, add_steps: AddSteps, is_valid: bool
) -> None:
    """The build was interrupted, or the migration after it, before the revision was stored."""
    with maintenance(server_url) as cursor:
        cursor.execute("CREATE INDEX ix_lead_language ON lead (language) WHERE language IS NOT NULL")
        cursor.execute(f"UPDATE pg_index SET indisvalid = {is_valid} WHERE indexrelid = 'ix_lead_language'::regclass")
    [(before,)] = query(server_url, "SELECT 'ix_lead_language'::regclass::oid")
    add_steps(CREATE_INDEX)
    assert migrate(migrated)
    assert query(server_url, VALID) == [(True,)]
    [(after,)] = query(server_url, "SELECT 'ix_lead_language'::regclass::oid")
    assert (before == after) is is_valid


def test_a_waiting_migration_has_no_transaction_and_blocks_no_concurrent_index(
    migrated: Settings, server_url: str, add_steps: AddSteps, caplog: pytest.LogCaptureFixture
) -> None:
    add_steps(ADD_COLUMN)
    caplog.set_level(logging.INFO)
    open_transactions = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'intake'"
        " AND xact_start < now() - interval '500 ms'"
    )
    with maintenance(server_url) as cursor, ThreadPoolExecutor() as pool:
        cursor.execute("SELECT pg_advisory_lock(%s)", [AdvisoryLock.MIGRATION.value])
        migrating = pool.submit(migrate, migrated)
        while "waiting for another migration" not in caplog.text:
            time.sleep(0.1)
        for number in range(3):
            assert query(server_url, open_transactions) == [(0,)]
            with maintenance(server_url) as builder:
                builder.execute("SET statement_timeout = '20s'")
                builder.execute(f"CREATE INDEX CONCURRENTLY t{number} ON lead (language)")
        assert not migrating.done()
        cursor.execute("SELECT pg_advisory_unlock(%s)", [AdvisoryLock.MIGRATION.value])
    assert migrating.result()


def test_a_migration_with_nothing_to_do_does_not_wait(migrated: Settings, server_url: str) -> None:
    """An old replica that restarts while a newer version migrates for hours."""
    with maintenance(server_url) as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [AdvisoryLock.MIGRATION.value])
        assert migrate(migrated)
        cursor.execute("UPDATE alembic_version SET version_num = '9999'")
        assert not migrate(migrated)


def test_the_servers_timeouts_do_not_end_the_turn(migrated: Settings, server_url: str, add_steps: AddSteps) -> None:
    name = server_url.rpartition("/")[2].partition("?")[0]
    with maintenance(server_url) as cursor:
        cursor.execute(f"ALTER DATABASE \"{name}\" SET idle_in_transaction_session_timeout = '3s'")
        cursor.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'")
    lock = f"SELECT pg_try_advisory_xact_lock({AdvisoryLock.MIGRATION.value})"
    taken = f'op.execute("SELECT pg_sleep(4)"); assert not op.get_bind().scalar(sa.text("{lock}"))'
    add_steps(taken, CREATE_INDEX, taken)
    assert migrate(migrated)
    assert query(server_url, "SELECT version_num FROM alembic_version") == [("made2",)]
    assert HEAD != "made2"

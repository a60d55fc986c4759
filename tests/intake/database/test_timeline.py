"""Promotion of a standby, with two real servers: no id is assigned twice."""

import logging
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest
from sqlalchemy import Connection, select, text

from intake.database import Database, server_checks
from intake.database.migrations import migrate
from intake.database.schema import installation, user_account
from intake.settings import Settings
from tests.conftest import Databases
from tests.postgres import PostgresServer, database_url, maintenance
from tests.system.programs import until

GAP = 1_000
WITHIN_S = 30


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    with closing(PostgresServer(in_memory=True)) as server:
        server.start()
        yield server


@pytest.fixture
def settings(primary: PostgresServer) -> Settings:
    settings = Settings(database_url=database_url(primary.url("postgres"), "postgres"), failover_gap=GAP)
    migrate(settings)
    return settings


def add_user(connection: Connection) -> int:
    values = {"password_hash": "x", "role": "attorney"}
    number = connection.execute(text("SELECT count(*) FROM user_account")).scalar_one()
    new = user_account.insert().values(username=f"u{number}", username_key=f"u{number}", **values)
    return int(connection.execute(new.returning(user_account.c.id)).scalar_one())


def stored(connection: Connection) -> str | None:
    found: str | None = connection.execute(select(installation.c.timeline)).scalar_one()
    return found


def test_first_write_after_a_promotion_skips_ids(
    primary: PostgresServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(PostgresServer(in_memory=True, primary=primary)) as standby:
        standby.start(hot_standby="on")
        both = f"{settings.database_url}&host={standby.directory}&target_session_attrs=read-write"
        replicated = Settings(database_url=both, failover_gap=GAP)
        with closing(Database(replicated, connections=4)) as database:
            assert [database.write(add_user) for _ in range(2)] == [1, 2]
            assert database.read(stored) == "00000001"
            assert database.read(server_checks.standby_error) is None
            alone = Settings(database_url=database_url(standby.url("postgres"), "postgres"))
            with closing(Database(alone, connections=1)) as on_standby:
                assert "is a standby" in (on_standby.read(server_checks.standby_error) or "")
            primary.kill()
            standby.promote()
            with caplog.at_level(logging.WARNING), ThreadPoolExecutor(4) as pool:
                ids = sorted(pool.map(lambda _: database.write(locked_user), range(8)))
            assert ids == list(range(ids[0], ids[0] + 8))
            assert GAP + 2 < ids[0] < GAP + 100  # PostgreSQL itself skips up to 32
            assert database.read(stored) == "00000002"
            assert caplog.text.count("was promoted") == 1
            assert database.read(lambda c: c.execute(text("SELECT nextval('lead_id_seq')")).scalar_one()) == GAP + 1


@pytest.mark.parametrize("gap", [GAP, 0])
def test_role_with_few_rights_skips_ids(settings: Settings, primary: PostgresServer, gap: int) -> None:
    with maintenance(primary.url("postgres")) as cursor:
        cursor.execute("CREATE ROLE service LOGIN")
        cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO service")
        cursor.execute("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO service")
        cursor.execute("UPDATE installation SET timeline = '00000000'")
    url = settings.database_url.replace("//postgres@", "//service@")
    with closing(Database(Settings(database_url=url, failover_gap=gap), connections=1)) as database:
        assert database.write(add_user) > gap
        assert database.read(stored) == "00000001"


def test_killed_server_is_found_again(settings: Settings, primary: PostgresServer) -> None:
    with closing(Database(settings, connections=1)) as database:
        database.write(add_user)
        with maintenance(primary.url("postgres")) as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'intake'")
            for [pid] in cursor.fetchall():
                os.kill(pid, signal.SIGKILL)  # all backends of the server end, this one, too
            with pytest.raises(psycopg2.Error):
                until(lambda: cursor.execute("SELECT 1"))
        primary.wait_until_ready()
        assert database.write(add_user) > 1


def locked_user(connection: Connection) -> int:
    connection.execute(text("LOCK TABLE user_account"))  # so that the names of concurrent users differ
    return add_user(connection)


def test_server_without_a_timeline_is_not_checked(settings: Settings) -> None:
    with closing(Database(settings, connections=1)) as database:
        database.write(
            lambda c: c.execute(
                text(
                    "CREATE OR REPLACE FUNCTION wal_timeline() RETURNS text LANGUAGE plpgsql AS $$"
                    " BEGIN PERFORM no_such_function(); EXCEPTION WHEN undefined_function THEN RETURN NULL; END $$"
                )
            )
        )
        assert "does not report its timeline" in "".join(database.read(server_checks.run_checks))
        assert database.write(add_user) == 1


def test_asynchronous_replication_is_reported(primary: PostgresServer, settings: Settings) -> None:
    with closing(Database(settings, connections=1)) as database:
        assert not is_reported(database)
        with closing(PostgresServer(in_memory=True, primary=primary)) as standby:
            standby.start(hot_standby="on")
            until(lambda: is_reported(database), within_s=WITHIN_S)
            with maintenance(primary.url("postgres")) as cursor:
                cursor.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
                cursor.execute("SELECT pg_reload_conf()")
            until(lambda: not is_reported(database), within_s=WITHIN_S)


def is_reported(database: Database) -> bool:
    return "replicates asynchronously" in "".join(database.read(server_checks.run_checks))


def test_other_servers_are_not_reported(databases: Databases) -> None:
    with closing(Database(Settings(database_url=databases.migrated_url()), connections=1)) as database:
        found = "".join(database.read(server_checks.run_checks))
        assert "timeline" not in found
        assert "asynchronously" not in found

"""The schema's steps: whole or not at all, no drift from the tables in code, on both databases."""

import multiprocessing
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from intake.database import Database, migrations
from intake.database.engine import open_engine
from intake.database.migrations import is_migrated, migrate
from intake.database.schema import metadata
from intake.errors import DatabaseMissing, DatabaseNotMigrated, DatabaseUnavailable
from intake.leads import search
from intake.mail import outbox
from intake.settings import Settings
from tests.conftest import Databases
from tests.postgres import database_url, maintenance


@pytest.fixture
def settings(databases: Databases) -> Settings:
    """Settings on an empty database."""
    return Settings(database_url=databases.empty_url())


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """That database, migrated."""
    migrate(settings)
    opened = Database(settings, connections=1)
    yield opened
    opened.close()


def test_the_steps_lead_to_the_tables_in_code(database: Database) -> None:
    def drift(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert database.read(drift) == []
    assert is_migrated(database)


def test_checks_and_cascades_are_there_too(database: Database) -> None:
    def ddl(connection: Connection) -> str:
        if connection.dialect.name == "sqlite":
            query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
        else:
            query = "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        return "\n".join(connection.exec_driver_sql(query).scalars())

    written = database.read(ddl)
    assert written.count("ON DELETE CASCADE") == 5
    for word in ("attorney", "suppressed"):
        assert word in written
    if "AUTOINCREMENT" in written:
        assert written.count("AUTOINCREMENT") == 4


def test_keys_compare_by_code_point_and_cvs_are_stored_plainly_on_postgresql(database: Database) -> None:
    def facts(connection: Connection) -> tuple[object, ...]:
        if connection.dialect.name == "sqlite":
            return 7, "e", 1  # its text compares by code point, and its blobs are stored plainly, always
        keys = "SELECT count(*) FROM information_schema.columns WHERE collation_name = 'C' AND data_type = 'text'"
        keys += " AND table_schema = 'public'"
        storage = "SELECT attstorage FROM pg_attribute WHERE attrelid = 'cv'::regclass AND attname = 'content'"
        partial = "SELECT count(*) FROM pg_indexes WHERE indexname = 'ix_outbox_mail_owed' AND indexdef ~ 'WHERE'"
        return tuple(connection.exec_driver_sql(query).scalar_one() for query in (keys, storage, partial))

    assert database.read(facts) == (7, "e", 1)


def test_every_step_leaves_what_is_there(settings: Settings) -> None:
    """A lead with its CV, history and owed mail, kept under the first revision, is whole under the last."""
    engine = open_engine(settings, connections=1, migrating=True).execution_options(writing=True)
    with engine.begin() as connection:
        command.upgrade(migrations._config(connection), "0001")
        columns = "id, lead_id, kind, recipient, message_id, created_at, state, attempts, next_attempt_at, owed_since"
        now = "2026-01-02 03:04:05.000006" + ("+00:00" if engine.dialect.name == "postgresql" else "")
        twice = f"'{now}', '{now}'"
        for statement in (
            f"INSERT INTO user_account VALUES (1, 'ada', 'ada', 'hash', 'admin', false, 0, '{now}')",
            f"INSERT INTO lead VALUES (7, 'a@b', 'A', 'B', 'cv.pdf', 'ENGAGED', '{now}', '{now}', 3, 'a@b', 'a', 'b')",
            "INSERT INTO cv VALUES (7, 2, 'hash', 'text/plain', 'hi')",
            f"INSERT INTO lead_event VALUES (3, 7, 1, '{now}', 'PENDING', 'ENGAGED')",
            f"INSERT INTO outbox_mail ({columns}) VALUES (9, 7, 'alert', 'x@y', '<m@d>', '{now}', 'owed', 2, {twice})",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    migrate(settings)
    database = Database(settings, connections=1)
    lead, facts = search.get(database, 7)
    assert (lead["email"], lead["state"], lead["created_at"].isoformat()) == (
        "a@b",
        "ENGAGED",
        "2026-01-02T03:04:05.000006+00:00",
    )
    assert b"".join(search.cv_pieces(database, 7, facts)) == b"hi"
    [mail] = outbox.claim(database, owner="test", limit=5)
    assert (mail.id, mail.message_id, mail.attempts) == (9, "<m@d>", 3)
    assert database.read(lambda c: c.execute(text("SELECT count(*) FROM lead_event")).scalar_one()) == 1
    database.close()


def test_doing_it_again_changes_nothing(settings: Settings, database: Database) -> None:
    migrate(settings)
    assert is_migrated(database)


def test_several_at_once_each_wait_for_the_one_before(settings: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=migrate, args=[settings]) for _ in range(3)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0, 0, 0]


def test_a_step_that_fails_leaves_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "_check_foreign_keys", lambda _connection: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        migrate(settings)
    monkeypatch.undo()
    database = Database(settings, connections=1)
    assert not is_migrated(database)
    database.close()
    migrate(settings)


def test_a_database_of_a_later_version_is_left_alone(settings: Settings, database: Database) -> None:
    database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    assert not is_migrated(database)
    with pytest.raises(DatabaseNotMigrated, match="another version"):
        migrate(settings)


def test_the_file_is_its_owners_alone_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a%20 b#.db"
    migrate(Settings(database_url=f"sqlite:///{file}"))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_is_no_database_or_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is a text, and longer than a header of SQLite's would be" * 10)
    with pytest.raises(DatabaseUnavailable) as raised:
        migrate(Settings(database_url=f"sqlite:///{tmp_path / 'text.db'}"))
    assert raised.value.reason == "file is not a database"
    for path in (tmp_path, tmp_path / "nowhere" / "x.db"):
        with pytest.raises(DatabaseMissing, match="can't be made or written"):
            migrate(Settings(database_url=f"sqlite:///{path}"))


def test_a_postgresql_database_in_another_encoding_is_refused(postgres_url: str) -> None:
    with maintenance(postgres_url) as cursor:
        cursor.execute("DROP DATABASE IF EXISTS intake_test_latin1")
        cursor.execute("CREATE DATABASE intake_test_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        try:
            with pytest.raises(DatabaseNotMigrated, match="LATIN1"):
                migrate(Settings(database_url=database_url(postgres_url, "intake_test_latin1")))
        finally:
            cursor.execute("DROP DATABASE intake_test_latin1")

"""Migrations on both databases: atomic, complete, and equal to the schema in code."""

import hashlib
import json
import multiprocessing
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from intake.audit import Action, Actor, record
from intake.database import Database, migrations
from intake.database.engine import open_engine
from intake.database.installation import Fingerprints
from intake.database.migrations import migrate, schema_error
from intake.database.schema import metadata, outbox_mail
from intake.database.word_index import is_described
from intake.errors import DatabaseMissing, DatabaseNotMigrated, DatabaseUnavailable
from intake.leads import cv_texts, listing, words
from intake.leads.normalization import normalize_key
from intake.mail import admin, outbox
from intake.settings import Settings
from tests.conftest import POOLED, Databases
from tests.migrations.made import ADD_COLUMN, HEAD, AddSteps
from tests.postgres import database_url, maintenance


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The database of `settings`, migrated."""
    migrate(settings)
    opened = Database(settings, connections=1)
    yield opened
    opened.close()


def test_migrations_match_the_schema_in_code(database: Database) -> None:
    def drift(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"include_name": is_described})
        return [found for found in compare_metadata(context, metadata) if not is_false_alarm(found)]

    def is_false_alarm(found: tuple[Any, ...]) -> bool:
        # on SQLite, SQLAlchemy reads neither the name nor the rule of a foreign key that was added with its column
        return found[0] in ("add_fk", "remove_fk") and found[1].column_keys in (["digest_id"], ["change_id"])

    def rule(connection: Connection) -> object:
        if connection.dialect.name == "postgresql":
            query = "SELECT confdeltype FROM pg_constraint WHERE conname = 'fk_outbox_mail_digest_id'"
            return {"n": "SET NULL"}[connection.exec_driver_sql(query).scalar_one()]
        keys = connection.exec_driver_sql("PRAGMA foreign_key_list(outbox_mail)").mappings()
        return next(key["on_delete"] for key in keys if (key["from"], key["table"]) == ("digest_id", "outbox_mail"))

    assert database.read(drift) == []
    assert database.read(rule) == "SET NULL"
    assert schema_error(database) is None


def test_checks_and_cascades_exist(database: Database) -> None:
    def ddl(connection: Connection) -> str:
        if connection.dialect.name == "sqlite":
            query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
        else:
            query = "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        return "\n".join(connection.exec_driver_sql(query).scalars())

    written = database.read(ddl)
    assert written.count("ON DELETE CASCADE") == 10
    for word in ("attorney", "suppressed", "too-large-to-scan"):
        assert word in written
    if "AUTOINCREMENT" in written:
        assert written.count("AUTOINCREMENT") == 5


def test_keys_compare_by_code_point_and_cvs_are_uncompressed_on_postgresql(database: Database) -> None:
    def facts(connection: Connection) -> tuple[object, ...]:
        if connection.dialect.name == "sqlite":
            return 15, "e", 2  # SQLite always compares text by code point and stores blobs uncompressed
        keys = "SELECT count(*) FROM information_schema.columns WHERE collation_name = 'C' AND data_type = 'text'"
        keys += " AND table_schema = 'public'"
        storage = "SELECT attstorage FROM pg_attribute WHERE attrelid = 'cv_content'::regclass AND attname = 'content'"
        names = "('ix_outbox_mail_due', 'ix_cv_scan_pending')"
        partial = f"SELECT count(*) FROM pg_indexes WHERE indexname IN {names} AND indexdef ~ 'WHERE'"
        return tuple(connection.exec_driver_sql(query).scalar_one() for query in (keys, storage, partial))

    assert database.read(facts) == (15, "e", 2)


LEADS = range(7, 27)


def content(lead_id: int) -> bytes:
    return bytes([lead_id]) * (lead_id - 6) ** 4  # from one byte to several pages


def fill_first_revision(connection: Connection) -> None:
    """Insert users, leads, CVs, history and mails of every state under the first revision."""
    timestamp = "2026-01-02 03:04:05.000006" + ("+00:00" if connection.dialect.name == "postgresql" else "")

    def insert(table: str, **values: object) -> None:
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)

    user = {"username": "ada", "username_key": "ada", "password_hash": "hash", "role": "admin"}
    insert("user_account", id=1, **user, disabled=False, token_generation=0, created_at=timestamp)
    for n in LEADS:
        keys = {"email_key": f"{n}@b", "f_name_key": "a", "l_name_key": "b"}
        names = {"email": f"{n}@b", "f_name": "A", "l_name": "B", "CV_name": "cv.pdf"}
        timestamps = {"created_at": timestamp, "state_since": timestamp}
        insert("lead", id=n, **names, **keys, **timestamps, state="ENGAGED", last_event_id=n)
        facts = {"size": len(content(n)), "sha256": hashlib.sha256(content(n)).hexdigest()}
        insert("cv", lead_id=n, **facts, detected_type="text/plain", content=content(n))
        insert("lead_event", id=n, lead_id=n, user_id=1, at=timestamp, from_state="PENDING", to_state="ENGAGED")
        timestamps = {"created_at": timestamp, "next_attempt_at": timestamp, "owed_since": timestamp}
        for kind, state in (("confirmation", ("sent", "dead", "suppressed", "owed")[n % 4]), ("alert", "owed")):
            mail = {"recipient": "x@y", "message_id": f"<{kind}{n}@d>", "attempts": 2}
            insert("outbox_mail", lead_id=n, kind=kind, state=state, **mail, **timestamps)


def migrated_from_first_revision(settings: Settings) -> Database:
    engine = open_engine(settings, connections=1, migrating=True).execution_options(writing=True)
    with engine.begin() as connection:
        command.upgrade(migrations._config(connection), "0001")
        fill_first_revision(connection)
    engine.dispose()
    migrate(settings)
    return Database(settings, connections=1)


def test_migrations_preserve_all_data(settings: Settings) -> None:
    """All data from the first revision is unchanged under the last."""
    database = migrated_from_first_revision(settings)
    for n in LEADS:
        lead = listing.get_lead(database, n)
        assert (lead.email, lead.state, lead.CV.object_ref) == (f"{n}@b", "ENGAGED", None)
        assert lead.created_at.isoformat() == "2026-01-02T03:04:05.000006+00:00"
        assert b"".join(listing.read_cv(database, lead)) == content(n)
        assert (lead.CV.flags, lead.CV.scan_state, lead.CV.signature) == ((), "unscanned", None)
    mails = admin.list_mails(database, admin.MailQuery(limit=100))
    assert Counter(mail.state for mail in mails) == {"queued": 25, "sent": 5, "failed": 5, "suppressed": 5}
    assert database.read(lambda c: c.execute(text("SELECT count(*) FROM lead_event")).scalar_one()) == len(LEADS)
    claimed = outbox.claim(database, owner="test", limit=50, alert_interval_s=60.0)
    assert [mail.lead_count for mail in claimed if mail.kind == "alert"] == [len(LEADS)]
    assert {mail.attempts for mail in claimed} == {3}
    assert len(claimed) == 6
    database.close()


CONFIRMED = (
    ("ada+1@gmail.com", 1),
    ("a.da@googlemail.com", 9),
    ("ADA@gmail.com", 5),
    ("b@straße.de", 2),
    ("b@strasse.de", 3),
)
NUMBERED = 11_000  # more than one batch


def fill_confirmed(connection: Connection, table: str = "confirmed_address", column: str = "email_key") -> None:
    """Insert confirmations of one mailbox's addresses, of two similar domains, and of thousands of other addresses."""
    addresses = [*CONFIRMED, *((f"{n}@b.example", 1) for n in range(NUMBERED))]
    rows = [
        {"id": n, "email": email, "key": normalize_key(email), "at": f"2026-01-0{day} 00:00:00.000000", "due": 1}
        for n, (email, day) in enumerate(addresses, 1)
    ]
    zone = "+00:00" if connection.dialect.name == "postgresql" else ""
    rows = [{**row, "at": f"{row['at']}{zone}"} for row in rows]
    names = 'id, email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, f_name_key, l_name_key'
    values = ":id, :email, 'A', 'B', 'cv', 'PENDING', :at, :at, :key, 'a', 'b'"
    connection.execute(text(f"INSERT INTO lead ({names}) VALUES ({values})"), rows)
    confirm = f"INSERT INTO {table} ({column}, lead_id, confirmed_at) VALUES (:key, :id, :at)"
    connection.execute(text(f"{confirm} ON CONFLICT DO NOTHING"), rows)


def run_step(settings: Settings, step: Callable[[Any, str], None], revision: str, then: Any = lambda _: None) -> None:
    engine = open_engine(settings, connections=1, migrating=True).execution_options(writing=True)
    with engine.begin() as connection:
        step(migrations._config(connection), revision)
        then(connection)
    engine.dispose()


def test_confirmed_addresses_are_merged_into_mailboxes(settings: Settings) -> None:
    run_step(settings, command.upgrade, "0008", fill_confirmed)
    run_step(settings, command.upgrade, "0012")
    database = Database(settings, connections=1)
    query = "SELECT mailbox_key, lead_id FROM confirmed_mailbox WHERE lead_id <= 5 ORDER BY lead_id"
    assert [tuple(row) for row in database.read(lambda c: c.execute(text(query)).all())] == [
        ("ada@gmail.com", 2),
        ("b@straße.de", 4),
    ]
    total = "SELECT count(*) FROM confirmed_mailbox"
    assert database.read(lambda c: c.execute(text(total)).scalar_one()) == 2 + NUMBERED
    database.close()


def test_mailbox_keys_can_be_downgraded(settings: Settings) -> None:
    run_step(settings, command.upgrade, "0008", fill_confirmed)
    run_step(settings, command.upgrade, "0012")
    run_step(settings, command.downgrade, "0008")
    database = Database(settings, connections=1)
    query = "SELECT email_key, lead_id FROM confirmed_address WHERE lead_id <= 5 ORDER BY lead_id"
    assert [tuple(row) for row in database.read(lambda c: c.execute(text(query)).all())] == [
        ("a.da@googlemail.com", 2),
        ("b@strasse.de", 4),
    ]
    due = "SELECT count(*) FROM outbox_mail WHERE state = 'owed' AND (kind <> 'alert' OR digest_id = id)"
    assert database.read(lambda c: c.execute(text(due)).scalar_one()) == 0
    database.close()
    migrate(settings)


def add_mails(connection: Connection) -> None:
    """Insert a digest of two alerts and a mail in each other state under revision 0013; delete the newest mail."""
    fill_confirmed(connection, "confirmed_mailbox", "mailbox_key")
    timestamp = "2026-01-02 03:04:05.000006" + ("+00:00" if connection.dialect.name == "postgresql" else "")
    names = (
        "id, lead_id, kind, recipient, message_id, created_at, state, attempts, next_attempt_at, owed_since, digest_id"
    )
    if connection.dialect.name == "postgresql":
        names = names.removeprefix("id, ")
    states: tuple[tuple[str, str, int | None], ...] = (
        ("alert", "dead", 1),
        ("alert", "dead", 1),
        ("confirmation", "owed", None),
    )
    states += (("confirmation", "sent", None), ("confirmation", "suppressed", None), ("confirmation", "owed", None))
    marks = ", ".join(f":{name}" for name in names.split(", "))
    for number, (kind, state, digest_id) in enumerate(states, 1):
        values = {"id": number, "lead_id": 1, "kind": kind, "recipient": "x@y", "message_id": f"<{number}@d>"}
        values |= {
            "created_at": timestamp,
            "state": state,
            "attempts": 1,
            "next_attempt_at": timestamp,
            "owed_since": timestamp,
        }
        connection.execute(
            text(f"INSERT INTO outbox_mail ({names}) VALUES ({marks})"), {**values, "digest_id": digest_id}
        )
    connection.execute(text("DELETE FROM outbox_mail WHERE id = 6"))


def mail_rows(settings: Settings) -> list[tuple[Any, ...]]:
    database = Database(settings, connections=1)
    rows = database.read(lambda c: c.execute(text("SELECT id, state, digest_id FROM outbox_mail ORDER BY id")).all())
    database.close()
    return [tuple(row) for row in rows]


def test_mail_states_can_be_upgraded_and_downgraded(settings: Settings) -> None:
    run_step(settings, command.upgrade, "0013", add_mails)
    before = mail_rows(settings)
    assert [state for _, state, _ in before] == ["dead", "dead", "owed", "sent", "suppressed"]
    run_step(settings, command.upgrade, "0014")
    after = [(1, "failed", 1), (2, "failed", 1), (3, "queued", None), (4, "sent", None), (5, "suppressed", None)]
    assert mail_rows(settings) == after
    run_step(settings, command.downgrade, "0013")
    assert mail_rows(settings) == before
    migrate(settings)
    assert mail_rows(settings) == after
    database = Database(settings, connections=1)
    mail = {"lead_id": 1, "kind": "alert", "recipient": "x@y", "message_id": "<7@d>"}
    added = database.write(lambda c: c.execute(outbox_mail.insert().values(**mail)).inserted_primary_key)
    assert added is not None
    assert added[0] == 7, "the id of a deleted mail is not reused"
    with pytest.raises(IntegrityError):
        database.write(lambda c: c.execute(outbox_mail.update().values(state="owed")))
    database.close()


def test_a_repeated_migration_changes_nothing(settings: Settings, database: Database) -> None:
    migrate(settings)
    assert schema_error(database) is None


def test_concurrent_migrations_run_one_after_another(settings: Settings) -> None:
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=migrate, args=[settings]) for _ in range(3)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0, 0, 0]


def test_each_database_has_a_unique_id_and_key_in_one_row(settings: Settings, databases: Databases) -> None:
    found = []
    for current in (settings, Settings(database_url=databases.empty_url())):
        database = migrated_from_first_revision(current)
        [row] = database.read(lambda c: c.execute(text("SELECT id, database_id, client_key FROM installation")).all())
        found += [bytes(row.database_id), bytes(row.client_key)]
        assert row.id == 1
        columns = "database_id, client_key, marker_nonce, previous_marker_nonce, marker_nonce_at, form_key, timeline"
        second = text(f"INSERT INTO installation SELECT 2, {columns} FROM installation")
        with pytest.raises(IntegrityError):
            database.write(lambda c, second=second: c.execute(second))  # type: ignore[misc]
        fingerprint = Fingerprints.from_database(database).fingerprint("192.0.2.1")
        assert fingerprint == Fingerprints(bytes(row.client_key)).fingerprint("192.0.2.1")
        database.close()
    assert len(set(found)) == 4
    assert {len(value) for value in found} == {32}


def test_the_installation_table_can_be_downgraded(settings: Settings) -> None:
    migrated_from_first_revision(settings).close()
    engine = open_engine(settings, connections=1, migrating=True).execution_options(writing=True)
    with engine.begin() as connection:
        command.downgrade(migrations._config(connection), "0008")
    engine.dispose()
    migrate(settings)
    database = Database(settings, connections=1)
    assert schema_error(database) is None
    database.close()


def test_a_failed_step_is_rolled_back(migrated: Settings, add_steps: AddSteps) -> None:
    """On SQLite with the earlier steps."""
    orphan = "INSERT INTO lead_field (lead_id, key, value, version) VALUES (99, 'k', 'v', '1')"
    add_steps(ADD_COLUMN, f'op.drop_table("lead_consent"); op.execute("{orphan}")')
    with pytest.raises((AssertionError, IntegrityError), match="foreign key"):
        migrate(migrated)
    database = Database(migrated, connections=1)
    query = text("SELECT version_num, (SELECT count(*) FROM lead_consent) FROM alembic_version")
    revision = "made0" if migrated.sqlite_file is None else HEAD
    assert tuple(database.read(lambda c: c.execute(query).one())) == (revision, 0)
    database.close()


def test_the_file_is_accessible_to_its_owner_only_under_any_name(tmp_path: Path) -> None:
    file = tmp_path / "a%20 b#.db"
    migrate(Settings(database_url=f"sqlite:///{file}"))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_invalid_or_unwritable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is a text, and longer than the header of an SQLite file" * 10)
    with pytest.raises(DatabaseUnavailable) as raised:
        migrate(Settings(database_url=f"sqlite:///{tmp_path / 'text.db'}"))
    assert raised.value.reason == "file is not a database"
    for path in (tmp_path, tmp_path / "nowhere" / "x.db"):
        with pytest.raises(DatabaseMissing, match="can't create or write"):
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


def test_the_audit_trail_is_append_only(database: Database) -> None:
    database.write(lambda connection: record(connection, Action.LOGIN, Actor(client="192.0.2.1")))
    for refused in map(text, ("UPDATE audit SET action = 'x'", "DELETE FROM audit")):
        with pytest.raises(DBAPIError, match="append-only"):
            database.write(lambda connection, refused=refused: connection.execute(refused))  # type: ignore[misc]
    found = database.read(lambda connection: connection.execute(text("SELECT action, client FROM audit")).all())
    assert [tuple(row) for row in found] == [("login", "192.0.2.1")]


def test_sqlite_without_fts5_is_refused(settings: Settings) -> None:
    if settings.sqlite_file is None:
        return

    def replace_word(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> tuple[str, Any]:
        return statement.replace("USING fts5(", "USING fts0("), parameters

    event.listen(Engine, "before_cursor_execute", replace_word, retval=True)
    try:
        with pytest.raises(DatabaseNotMigrated, match="FTS5"):
            migrate(settings)
    finally:
        event.remove(Engine, "before_cursor_execute", replace_word)


def test_a_role_that_must_not_create_extensions_migrates(settings: Settings, postgres_url: str) -> None:
    if settings.sqlite_file is not None or POOLED:
        return
    role, name = f"intake_test_role_{os.getpid()}", settings.database_url.rpartition("/")[2].partition("?")[0]
    with maintenance(database_url(postgres_url, name).replace("+psycopg2", "")) as cursor:
        cursor.execute(f"CREATE ROLE {role} LOGIN; GRANT CREATE ON SCHEMA public TO {role}")
        try:
            migrate(Settings(database_url=settings.database_url.replace("postgres@", f"{role}@")))
            cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'lead'")
            assert cursor.fetchall() == [(1,)]
        finally:
            cursor.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_leads_older_than_the_words_are_indexed_by_the_worker(settings: Settings) -> None:
    database = migrated_from_first_revision(settings)

    def found(q: str) -> list[int]:
        chunks = listing.stream_json(database, listing.LeadQuery(q=q))
        return [lead["id"] for lead in json.loads(b"".join(chunks))]

    assert found("26 b") == []
    assert sum(words.index_outdated(database)) == len(LEADS)
    assert found("26 b") == [26]
    assert sum(words.index_outdated(database)) == 0
    database.close()


def test_the_substring_indexes_are_dropped(database: Database) -> None:
    def names(connection: Connection) -> Any:
        is_sqlite = connection.dialect.name == "sqlite"
        query = "SELECT name FROM sqlite_master" if is_sqlite else "SELECT indexname FROM pg_indexes"
        return connection.exec_driver_sql(query).scalars().all()

    assert [name for name in database.read(names) if name.startswith(("lead_search", "ix_lead_parts"))] == []


def test_the_words_can_be_downgraded(settings: Settings) -> None:
    migrate(settings)
    run_step(settings, command.downgrade, "0016")
    migrate(settings)


SCAN_STATES = ("unscanned", "scanning", "clean", "quarantined", "too-large-to-scan")


def add_scanned_cvs(connection: Connection) -> None:
    """Insert a CV in each scan state under revision 0015."""
    fill_confirmed(connection, "confirmed_mailbox", "mailbox_key")
    names = "lead_id, size, sha256, detected_type, scan_state"
    rows = [{"id": number, "state": state} for number, state in enumerate(SCAN_STATES, 1)]
    connection.execute(text(f"INSERT INTO cv ({names}) VALUES (:id, 1, 'x', 'text/plain', :state)"), rows)


def test_existing_cvs_are_queued_for_extraction_unless_withheld(settings: Settings) -> None:
    run_step(settings, command.upgrade, "0015", add_scanned_cvs)
    run_step(settings, command.upgrade, "0016")
    run_step(settings, command.downgrade, "0015")
    migrate(settings)
    database = Database(settings, connections=1)
    query = "SELECT state, reason, next_attempt_at IS NOT NULL FROM cv_text ORDER BY lead_id"
    assert [tuple(row) for row in database.read(lambda c: c.execute(text(query)).all())] == [
        ("pending", None, True),
        ("pending", None, False),
        ("pending", None, True),
        ("withheld", "quarantined", False),
        ("withheld", "too-large-to-scan", False),
    ]
    claimed = [cv_texts.claim(database) for _ in range(3)]
    assert [job and job.lead_id for job in claimed] == [3, 1, None], "the newest first"
    database.close()


def test_leads_older_than_the_form_have_no_answers_and_each_database_has_a_key(settings: Settings) -> None:
    run_step(settings, command.upgrade, "0018", lambda c: fill_confirmed(c, "confirmed_mailbox", "mailbox_key"))
    keys = []
    for _ in range(2):
        migrate(settings)
        database = Database(settings, connections=1)
        found = database.read(lambda c: c.execute(text("SELECT suspect, language FROM lead WHERE id = 1")).one())
        assert tuple(found) == (None, None)
        keys.append(database.read(lambda c: bytes(c.execute(text("SELECT form_key FROM installation")).scalar_one())))
        database.close()
        run_step(settings, command.downgrade, "0018")
    assert {len(key) for key in keys} == {32}
    assert len(set(keys)) == 2
    migrate(settings)

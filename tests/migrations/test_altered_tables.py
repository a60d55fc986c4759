"""Tables altered by copying on SQLite: their triggers, ids and search index are preserved."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError

from intake.database import Database, word_index
from intake.database.migrations import migrate
from intake.database.schema import audit, lead
from intake.settings import Settings
from tests.migrations.made import AddSteps

ROW = {"f_name": "A", "l_name": "B", "CV_name": "cv", "state": "PENDING"} | dict.fromkeys(
    ("email", "email_key", "f_name_key", "l_name_key"), "a"
)
LENGTHEN = """with alter_table("{table}") as table:
        table.alter_column("{column}", type_=sa.Text())"""


@pytest.fixture
def database(migrated: Settings) -> Iterator[Database]:
    with closing(Database(migrated, connections=1)) as opened:
        yield opened


def add_lead(connection: Connection) -> int:
    row = connection.execute(insert(lead).values(ROW)).inserted_primary_key
    assert row is not None
    words = {"lead_id": row[0], "words": [f"w{row[0]}"], "search_truncated": False, "version": 1}
    word_index.replace_words(connection, words)
    return int(row[0])


def test_the_audit_trail_stays_append_only(migrated: Settings, database: Database, add_steps: AddSteps) -> None:
    database.write(lambda c: c.execute(insert(audit).values(action="login")))
    add_steps(LENGTHEN.format(table="audit", column="detail").replace("sa.Text()", "sa.String(9000)"))
    assert migrate(migrated)
    for refused in map(text, ("UPDATE audit SET action = 'x'", "DELETE FROM audit")):
        with pytest.raises(DBAPIError, match="append-only"):
            database.write(lambda c, refused=refused: c.execute(refused))  # type: ignore[misc]
    database.write(lambda c: c.execute(insert(audit).values(action="login")))
    assert database.read(lambda c: c.execute(text("SELECT id FROM audit ORDER BY id")).scalars().all()) == [1, 2]


def test_ids_are_not_used_twice(migrated: Settings, database: Database, add_steps: AddSteps) -> None:
    first = database.write(add_lead)
    database.write(lambda c: c.execute(text("DELETE FROM lead")))
    add_steps(LENGTHEN.format(table="lead", column="state"))
    assert migrate(migrated)
    assert database.write(add_lead) == first + 1
    database.write(lambda c: c.execute(text("DELETE FROM lead")))
    assert database.write(add_lead) == first + 2


def test_the_search_index_follows_the_table(migrated: Settings, database: Database, add_steps: AddSteps) -> None:
    first, second = database.write(add_lead), database.write(add_lead)
    add_steps(LENGTHEN.format(table="lead_words", column="version").replace("Text", "BigInteger"))
    assert migrate(migrated)
    database.write(lambda c: c.execute(text("DELETE FROM lead_words WHERE lead_id = 1")))
    third = database.write(add_lead)
    found = [database.read(lambda c, n=n: word_index.find(c, [f"w{n}"]).ids) for n in (first, second, third)]  # type: ignore[misc]
    assert found == [[], [second], [third]]

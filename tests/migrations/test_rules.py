"""Each migration against its labels, and SQLite's triggers after each migration."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alembic import command
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, event

from intake.database import migrations
from intake.database.engine import open_engine
from intake.settings import Settings
from leadctl import __version__
from tests.migrations.made import ADD_COLUMN, CREATE_INDEX, DROP_COLUMN, ROOT, AddSteps
from tests.migrations.rules import _number, label_errors, statement_errors

FIRST = "0020"  # earlier versions need their own schema: stop, migrate, start
SCRIPTS = ScriptDirectory(str(ROOT / "alembic"))
STEPS = list(reversed(list(SCRIPTS.walk_revisions())))
LABELLED = STEPS[[step.revision for step in STEPS].index(FIRST) :]


def releases_before(step: Script) -> dict[str, object]:
    return {one.revision: one.module.release for one in LABELLED if int(one.revision) < int(step.revision)}


@contextmanager
def recorded(engine: Engine) -> Iterator[list[str]]:
    statements: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", record)
    yield statements
    event.remove(engine, "before_cursor_execute", record)


def run_steps(settings: Settings, *revisions: str) -> list[str]:
    """Run steps as `intake migrate` does, and return the statements of the last one."""
    engine = open_engine(settings, connections=1, migrating=True).execution_options(writing=True)
    is_postgresql = engine.dialect.name == "postgresql"
    for revision in revisions:
        with recorded(engine) as statements, engine.connect() if is_postgresql else engine.begin() as connection:
            command.upgrade(migrations._config(connection), revision)
    engine.dispose()
    return statements


def triggers(connection: Connection) -> dict[str, str]:
    query = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
    return {row.name: row.tbl_name for row in connection.exec_driver_sql(query)}


def tables(connection: Connection) -> set[str]:
    return set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())


def test_the_migrations_are_one_line() -> None:
    assert [step.down_revision for step in STEPS] == [None, *(step.revision for step in STEPS[:-1])]


@pytest.mark.parametrize("step", LABELLED, ids=lambda step: step.revision)
def test_each_step_has_consistent_labels(step: Script) -> None:
    module = step.module
    minimum = getattr(module, "minimum_revision", None)
    assert label_errors(module.phase, minimum, module.release, releases_before(step)) == []
    assert _number(module.release) <= _number(__version__)


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
@pytest.mark.parametrize("step", LABELLED, ids=lambda step: step.revision)
def test_each_step_is_what_its_phase_allows(settings: Settings, step: Script) -> None:
    assert statement_errors(step.module.phase, run_steps(settings, str(step.down_revision), step.revision)) == []


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("body", "phases"),
    [
        (ADD_COLUMN, ["expand", "contract"]),
        (CREATE_INDEX, ["expand", "contract"]),
        (DROP_COLUMN, ["contract"]),
        ('op.create_index("i", "lead", ["language"])', []),
        (f"{CREATE_INDEX}; {ADD_COLUMN}", []),
        ('op.add_column("lead", sa.Column("n", sa.Integer(), nullable=False, server_default="0"))', ["expand"]),
        ('op.add_column("lead", sa.Column("n", sa.Text(), nullable=False, server_default=sa.func.now()))', []),
        ('op.add_column("lead", sa.Column("n", sa.Integer(), nullable=False))', []),
        ('op.add_column("lead", sa.Column("n", sa.BigInteger(), sa.ForeignKey("lead.id")))', []),
        ('op.alter_column("lead", "language", new_column_name="tongue")', []),
        ('op.alter_column("lead", "language", type_=sa.Text())', []),
        ('op.alter_column("lead", "language", nullable=False)', ["contract"]),
        ('op.create_check_constraint("c", "lead", "id > 0")', []),
        ('op.create_check_constraint("c", "lead", "id > 0", postgresql_not_valid=True)', ["contract"]),
        ("op.execute(\"UPDATE lead SET language = 'en'\")", []),
        ('op.drop_table("lead_consent")', ["contract"]),
    ],
)
def test_statements_are_checked(migrated: Settings, add_steps: AddSteps, body: str, phases: list[str]) -> None:
    add_steps(body)
    statements = run_steps(migrated, "made0")
    allowed = [phase for phase in ("expand", "contract") if not statement_errors(phase, statements)]
    assert allowed[: len(phases) or None] == phases


def test_a_new_table_may_be_filled_and_indexed() -> None:
    statements = ["CREATE TABLE t (id INTEGER)", "INSERT INTO t (id) VALUES (1)", "CREATE UNIQUE INDEX i ON t (id)"]
    assert statement_errors("expand", statements) == []
    assert statement_errors("expand", statements[1:]) == statements[1:]


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (("expand", None, "0.3.0"), None),
        (("contract", "0020", "0.2.0"), None),
        (("contract", "0021", "0.3.0"), None),
        (("contract", "0021", "0.2.0"), "earlier release"),
        (("contract", None, "0.3.0"), "has a minimum_revision"),
        (("expand", "0020", "0.3.0"), "has a minimum_revision"),
        (("contract", "0019", "0.3.0"), "step with labels"),
        (("expand", None, "0.1.9"), "later release"),
        (("both", None, "0.3.0"), "expand or contract"),
        (("expand", None, None), "a version"),
    ],
)
def test_labels_are_checked(labels: tuple[object, object, object], error: str | None) -> None:
    found = label_errors(*labels, {"0020": "0.1.0", "0021": "0.2.0"})
    assert found == [] if error is None else error in found[0]


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_no_step_loses_triggers(settings: Settings) -> None:
    """SQLite drops a table's triggers when a batch operation replaces the table by a copy."""
    engine = open_engine(settings, connections=1, migrating=True).execution_options(writing=True)
    before: dict[str, str] = {}
    for step in STEPS:
        statements = " ".join(run_steps(settings, step.revision))
        with engine.begin() as connection:
            after = triggers(connection)
            lost = {name for name, table in before.items() if name not in after and table in tables(connection)}
        assert {name for name in lost if f"DROP TRIGGER IF EXISTS {name}" not in statements} == set(), step.revision
        before = after
    engine.dispose()
    assert len(before) == 5

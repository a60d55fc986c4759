"""The compatibility window: which versions can use a schema, in the library and in the real program."""

import re
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from intake.database import Database, migrations
from intake.database.migrations import NOT_MIGRATED, TOO_NEW, migrate, schema_error
from intake.errors import DatabaseNotMigrated
from intake.settings import Settings
from tests.conftest import SECRET
from tests.migrations.made import ADD_COLUMN, DROP_COLUMN, HEAD, AddSteps
from tests.system.programs import INTAKE, Service, clean_environment


def execute(settings: Settings, *statements: str) -> None:
    with closing(Database(settings, connections=1)) as database:
        for statement in statements:
            database.write(lambda c, statement=statement: c.execute(text(statement)))  # type: ignore[misc]


def error(settings: Settings) -> str | None:
    with closing(Database(settings, connections=1)) as database:
        return schema_error(database)


def stored(settings: Settings) -> tuple[str, ...]:
    query = text("SELECT version_num, minimum_revision FROM alembic_version, schema_window")
    with closing(Database(settings, connections=1)) as database:
        return tuple(database.read(lambda c: c.execute(query).one()))


def test_a_newer_schema_is_usable_after_an_expand_step(
    migrated: Settings, add_steps: AddSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_steps(ADD_COLUMN)
    assert error(migrated) == NOT_MIGRATED
    assert migrate(migrated)
    assert error(migrated) is None
    monkeypatch.undo()
    assert error(migrated) is None
    assert not migrate(migrated), "the schema is newer than this version"
    assert stored(migrated) == ("made0", "0020")


@pytest.mark.parametrize(("minimum", "expected"), [(HEAD, None), ("made0", TOO_NEW)])
def test_a_contract_step_raises_the_minimum(
    migrated: Settings, add_steps: AddSteps, monkeypatch: pytest.MonkeyPatch, minimum: str, expected: str | None
) -> None:
    add_steps(ADD_COLUMN, DROP_COLUMN, minimum=minimum)
    assert migrate(migrated)
    assert stored(migrated) == ("made1", minimum)
    assert error(migrated) is None
    monkeypatch.undo()
    assert error(migrated) == expected
    if expected:
        with pytest.raises(DatabaseNotMigrated, match="too new"):
            migrate(migrated)
    else:
        assert not migrate(migrated)
    assert stored(migrated) == ("made1", minimum)


def test_an_older_schema_is_not_usable_whatever_its_minimum(migrated: Settings) -> None:
    execute(migrated, "UPDATE alembic_version SET version_num = '0019'")
    assert error(migrated) == NOT_MIGRATED
    execute(migrated, "DELETE FROM alembic_version")
    assert error(migrated) == NOT_MIGRATED


@pytest.mark.parametrize("statement", ["DROP TABLE schema_window", "DELETE FROM schema_window"])
def test_a_newer_schema_without_a_minimum_is_refused(migrated: Settings, statement: str) -> None:
    """Such as the database of another application."""
    execute(migrated, "UPDATE alembic_version SET version_num = 'a1b2c3'", statement)
    assert error(migrated) == TOO_NEW
    with pytest.raises(DatabaseNotMigrated, match="too new"):
        migrate(migrated)


def test_a_schema_that_a_newer_version_migrates_meanwhile_is_usable(
    migrated: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its first look and its turn, another migration may have changed the schema."""
    execute(migrated, "UPDATE alembic_version SET version_num = '0019'")

    def overtake(then: Callable[..., object]) -> Callable[..., object]:
        def overtaken(*arguments: object) -> object:
            execute(migrated, "UPDATE alembic_version SET version_num = '9999'")
            return then(*arguments)

        return overtaken

    if migrated.sqlite_file is not None:
        monkeypatch.setattr(migrations, "_upgrade_sqlite", overtake(migrations._upgrade_sqlite))
        with pytest.raises(DatabaseNotMigrated, match="another version"):
            migrate(migrated)
        return
    monkeypatch.setattr(migrations, "_turn", overtake(migrations._turn))
    assert not migrate(migrated)


def test_the_programs_use_a_newer_schema_inside_the_window_only(migrated: Settings, tmp_path: Path) -> None:
    execute(migrated, "UPDATE alembic_version SET version_num = '9999'")
    environment = clean_environment(tmp_path, INTAKE_DATABASE_URL=migrated.database_url, INTAKE_JWT_SECRET=SECRET)

    def intake(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([INTAKE, command], env=environment, cwd=tmp_path, capture_output=True, text=True)

    done = intake("migrate")
    assert done.returncode == 0
    assert re.fullmatch(r"intake: the database has a newer schema, .*; nothing was changed\n", done.stderr)
    with Service(environment, tmp_path) as service:
        assert httpx2.get(f"{service.url}/readyz").status_code == 200
        execute(migrated, "UPDATE schema_window SET minimum_revision = '9999'")
        response = httpx2.get(f"{service.url}/readyz")
    assert (response.status_code, response.json()["detail"]) == (503, TOO_NEW)
    for command in ("migrate", "serve"):
        done = intake(command)
        assert (done.returncode, done.stderr) == (1, f"intake: {TOO_NEW}\n")

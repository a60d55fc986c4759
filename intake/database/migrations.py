"""Schema migrations: apply them, and check whether all are applied."""

import os
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from intake.database.engine import open_engine
from intake.database.transactions import Database, advisory_lock, translated_errors
from intake.errors import DatabaseMissing, DatabaseNotMigrated
from intake.settings import Settings

MIGRATION_LOCK = 0x1EADC71


def migrate(settings: Settings) -> None:
    """Migrate the schema to this version in one transaction; create a SQLite file if there is none.

    Concurrent migrations run one after another. Raises DatabaseUnavailable, DatabaseMissing or DatabaseNotMigrated.
    """
    if (file := settings.sqlite_file) is not None:
        _make_file(file)
    engine = open_engine(settings, connections=1, migrating=True).execution_options(writing=True)
    try:
        with translated_errors(), engine.begin() as connection:
            advisory_lock(connection, MIGRATION_LOCK)
            _check_encoding(connection)
            command.upgrade(_config(connection), "head")
            _check_foreign_keys(connection)
    except CommandError as error:
        raise DatabaseNotMigrated(f"the database belongs to another version of this service: {error}") from error
    finally:
        engine.dispose()


def is_migrated(database: Database) -> bool:
    """Return whether all migrations are applied. Raises DatabaseUnavailable."""
    return database.read(lambda c: MigrationContext.configure(c).get_current_heads()) == _heads()


def needed_revision() -> str:
    """Return the revision of the schema that this version needs."""
    return ",".join(_heads())


def is_known(revision: str) -> bool:
    """Return whether this version has a migration to the schema."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


@cache
def _heads() -> tuple[str, ...]:
    return tuple(ScriptDirectory.from_config(_config()).get_heads())


def _make_file(file: Path) -> None:
    try:
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))  # it contains personal data
    except OSError as error:
        raise DatabaseMissing(f"can't create or write the database {file}: {error.strerror}") from error


def _check_encoding(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise DatabaseNotMigrated(f"the database has the encoding {encoding}; create one with ENCODING 'UTF8'")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _scripts() -> Path:
    """Return the directory of the migrations: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "alembic"


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise AssertionError(f"a migration broke foreign keys: {broken[:5]}")

"""Copies of a whole database: a SQLite file, or a dump by pg_dump."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, make_dsn
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from intake.backups.files import durable_file
from intake.cv_text.sandbox import end_with_parent
from intake.cvs.store import flush
from intake.errors import BackupFailed
from intake.settings import Settings

BUSY_TIMEOUT_S = 60
FETCHED_ROWS = 5_000  # at once, from PostgreSQL
CV_SUMS = "SELECT sha256, store_key FROM cv WHERE store_key IS NOT NULL ORDER BY store_key"
FACTS = "SELECT (SELECT version_num FROM alembic_version), (SELECT count(*) FROM lead)"

# Mails contain ids of leads that were submitted after the backup, so no sequence may assign these again.
_ADVANCE = {
    "sqlite": "UPDATE sqlite_sequence SET seq = seq + ?",
    "postgresql": (
        "SELECT setval("
        " format('%%I.%%I', schemaname, sequencename)::regclass, greatest(coalesce(last_value, 0) + %s, 1)"
        ") FROM pg_sequences WHERE schemaname = current_schema() AND sequenceowner = current_user"
    ),
}
# pg_dump and pg_restore change settings of the session, which a pooler would give to other clients
_POOLED = "INTAKE_DATABASE_URL leads to a connection pooler such as PgBouncer; set the URL of a direct connection"
_ADD_SQLITE_SEQUENCES = """
    INSERT INTO sqlite_sequence (name, seq) SELECT name, 0 FROM sqlite_master
    WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%' AND name NOT IN (SELECT name FROM sqlite_sequence)
"""
_MOVE_CVS = (
    "UPDATE cv SET store_url = {0} WHERE store_url IS NOT NULL",
    "UPDATE cv_deletion SET store_url = {0}",
)


class Facts(NamedTuple):
    """The schema's revision and the number of leads."""

    schema: str
    leads: int


def kind(settings: Settings) -> str:
    """Return the kind of the settings' database, a key of files.DATABASES."""
    return "postgresql" if settings.sqlite_file is None else "sqlite"


@contextmanager
def dump(settings: Settings, path: Path) -> Iterator[tuple[Facts, Iterator[tuple[str, str]]]]:
    """Write the database to `path`; yield its facts, and the checksums and keys of its CVs in a store.

    Raises BackupFailed.
    """
    if settings.sqlite_file is not None:
        with _dump_sqlite(settings.sqlite_file, path) as cursor:
            facts = Facts(*cursor.execute(FACTS).fetchone())
            yield facts, cursor.execute(CV_SUMS)
    else:
        with _dump_postgresql(settings, path) as cursor:
            cursor.execute(FACTS)
            facts = Facts(*cursor.fetchone())
            with cursor.connection.cursor("cv_sums") as stream:
                stream.itersize = FETCHED_ROWS
                stream.execute(CV_SUMS)
                yield facts, stream


def load(settings: Settings, file: Path, *, gap: int) -> None:
    """Write a dump to the settings' database, which must be empty, and raise all its sequences by `gap`.

    CVs in a store are then in INTAKE_CV_STORE. Raises BackupFailed.
    """
    if settings.sqlite_file is not None:
        _load_sqlite(settings, settings.sqlite_file, file, gap)
    else:
        _load_postgresql(settings, file, gap)


def check(path: Path) -> None:
    """Raise BackupFailed if a dump with the right checksum can't be read: the disk was full, or the program failed."""
    if path.suffix == ".sqlite":
        _check_integrity(path)
    else:
        _run_program("pg_restore", "--list", path)


def refuse_used(settings: Settings) -> None:
    """Raise BackupFailed if the settings' database has data, or can't be reached."""
    if (file := settings.sqlite_file) is not None:
        if not file.absolute().parent.is_dir():
            raise BackupFailed(f"can't restore to {file}: create its directory first")
        if found := next((one for one in map(Path, (str(file), f"{file}-wal", f"{file}-shm")) if one.exists()), None):
            raise BackupFailed(f"can't restore: {found} exists; stop the service and move the file away first")
        return
    with _connected(settings) as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = current_schema())")
        if cursor.fetchone()[0]:
            raise BackupFailed(
                "can't restore: the database has tables; create an empty one (createdb), and name it in"
                " INTAKE_DATABASE_URL"
            )


@contextmanager
def _dump_sqlite(source: Path, path: Path) -> Iterator[sqlite3.Cursor]:
    """Copy a file that is in use with VACUUM INTO; sqlite3's .backup starts again after each write."""
    try:
        with closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
        ) as connection:
            Path(f"{path}-journal").unlink(missing_ok=True)  # of an interrupted copy
            connection.execute("VACUUM INTO ?", [str(path)])
        path.chmod(0o600)
        _check_integrity(path)
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
            yield copy.cursor()
    except sqlite3.Error as error:
        raise BackupFailed(f"can't copy {source}: {error}") from error


def _check_integrity(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        if (found := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            raise BackupFailed(f"{path} is damaged: {found}")


@contextmanager
def _dump_postgresql(settings: Settings, path: Path) -> Iterator[Any]:
    """Dump a snapshot, and yield a cursor that reads the same one."""
    with _connected(settings) as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        [snapshot] = cursor.fetchone()
        _run(settings, "pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={path}")
        yield cursor


def _load_sqlite(settings: Settings, target: Path, file: Path, gap: int) -> None:
    try:
        with durable_file(target, replaces=False) as draft:
            shutil.copyfile(file, draft)
            with closing(sqlite3.connect(draft)) as connection, connection:
                connection.execute(_ADD_SQLITE_SEQUENCES)
                connection.execute(_ADVANCE["sqlite"], [gap])
                for statement in _MOVE_CVS if settings.cv_store else ():
                    connection.execute(statement.format("?"), [settings.cv_store])
        flush(target.absolute().parent)
    except FileExistsError as error:
        if target.exists():
            refuse_used(settings)
        raise BackupFailed(
            f"can't restore: {error.filename} exists: another restore is running, or was interrupted; then remove it"
        ) from error
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"can't restore to {target}: {error}") from error


def _load_postgresql(settings: Settings, file: Path, gap: int) -> None:
    with _connected(settings):  # a pooler is refused before anything is restored
        pass
    _run(settings, "pg_restore", "--no-owner", "--no-privileges", "--single-transaction", file)
    with _connected(settings) as cursor:
        cursor.execute(_ADVANCE["postgresql"], [gap])
        for statement in _MOVE_CVS if settings.cv_store else ():
            cursor.execute(statement.format("%s"), [settings.cv_store])


@contextmanager
def _connected(settings: Settings) -> Iterator[Any]:
    """Connect to PostgreSQL, and yield a cursor in a transaction that is committed in the end. Raises BackupFailed."""
    try:
        with closing(psycopg2.connect(make_dsn(**_connection_arguments(settings)))) as connection:
            connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ)
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                if cursor.fetchone() != (connection.info.backend_pid,):  # a pooler makes up its own
                    raise BackupFailed(_POOLED)
                yield cursor
    except psycopg2.Error as error:
        raise BackupFailed(f"the database: {error}".strip()) from error


def _connection_arguments(settings: Settings) -> dict[str, Any]:
    """Return the arguments of psycopg2.connect, as SQLAlchemy reads them from the URL."""
    dialect: Any = PGDialect_psycopg2
    return dict(dialect().create_connect_args(make_url(settings.database_url))[1])


def _run(settings: Settings, program: str, *arguments: str | Path) -> None:
    """Run a program of PostgreSQL on the settings' database. Raises BackupFailed.

    The password is in the environment: all users can see arguments, and a file would outlive a killed backup.
    """
    connection = _connection_arguments(settings)
    more = {"PGPASSWORD": str(connection.pop("password"))} if "password" in connection else {}
    _run_program(program, f"--dbname={make_dsn(**connection)}", *arguments, **more)


def _run_program(program: str, *arguments: str | Path, **environment: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a program of PostgreSQL, with the settings' values
            [program, *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
            preexec_fn=end_with_parent,  # or it would complete a killed restore, without the gap in the ids
        )
    except FileNotFoundError as error:
        raise BackupFailed(f"{program} is not installed (Debian: apt-get install postgresql-client)") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()[:5]
        raise BackupFailed("\n".join(lines) or f"{program} failed")

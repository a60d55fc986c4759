"""Checks of a database's server for `intake check`."""

from sqlalchemy import Connection

from intake.database import timeline

_QUIET = ("log", "fatal", "panic")  # levels of PostgreSQL's log above that of a failed statement
_LOGS_VALUES = (
    "PostgreSQL logs failed statements with their values, so personal data remains in its log after an erasure: as a"
    " superuser, run: ALTER ROLE … SET log_min_error_statement = panic, with the role of this service"
)
_LOSES_COMMITS = (
    "PostgreSQL replicates asynchronously: a promoted standby lacks the last acknowledged leads; set"
    " synchronous_standby_names (see docs/operations.md, Failover)"
)
_UNNOTICED = (
    "this server does not report its timeline, so the promotion of a standby is not noticed: after one,"
    " raise all sequences with setval by INTAKE_FAILOVER_GAP, or ids of lost leads are assigned again"
)
_IS_STANDBY = "the database server is a standby, which accepts no writes; promote it, or correct INTAKE_DATABASE_URL"


def standby_error(connection: Connection) -> str | None:
    """Return why the server accepts no writes, with the remedy; None if it does."""
    if connection.dialect.name == "sqlite":
        return None
    return _IS_STANDBY if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one() else None


def run_checks(connection: Connection) -> list[str]:
    """Return warnings about a PostgreSQL server: values in its log, and what a failover would lose."""
    if connection.dialect.name == "sqlite":
        return []
    found = []
    if _setting(connection, "log_min_error_statement") not in _QUIET:
        found.append(_LOGS_VALUES)
    if _has_standbys(connection) and not _is_synchronous(connection):
        found.append(_LOSES_COMMITS)
    if not timeline.is_known(connection):
        found.append(_UNNOTICED)
    return found


def _setting(connection: Connection, name: str) -> str:
    return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())


def _has_standbys(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql("SELECT EXISTS (SELECT FROM pg_stat_replication)").scalar_one())


def _is_synchronous(connection: Connection) -> bool:
    waits = _setting(connection, "synchronous_commit") in ("on", "remote_apply", "remote_write")
    return waits and bool(_setting(connection, "synchronous_standby_names"))

"""Database access, the only package that distinguishes SQLite and PostgreSQL."""

from intake.database.transactions import (
    AdvisoryLock,
    Database,
    advisory_lock,
    insert_if_absent,
    insertion,
    short_lock_timeout,
)

__all__ = ["AdvisoryLock", "Database", "advisory_lock", "insert_if_absent", "insertion", "short_lock_timeout"]

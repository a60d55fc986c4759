"""Database access, the only package that distinguishes SQLite and PostgreSQL."""

from intake.database.transactions import (
    Database,
    advisory_lock,
    insert_if_absent,
    insertion,
    short_lock_timeout,
)

__all__ = ["Database", "advisory_lock", "insert_if_absent", "insertion", "short_lock_timeout"]

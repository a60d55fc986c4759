"""The one place that knows SQLite from PostgreSQL: engine, schema, transactions, migrations, CV bytes."""

from intake.database.transactions import (
    Database,
    advisory_lock,
    execute_with_next,
    insert_if_absent,
    insertion,
    short_lock_timeout,
)

__all__ = ["Database", "advisory_lock", "execute_with_next", "insert_if_absent", "insertion", "short_lock_timeout"]

"""The one place that knows SQLite from PostgreSQL: engine, schema, transactions, migrations, CV bytes."""

from intake.database.transactions import (
    Database,
    execute_with_next,
    insert_once,
    insertion,
    serialised,
    waiting_briefly,
)

__all__ = ["Database", "execute_with_next", "insert_once", "insertion", "serialised", "waiting_briefly"]

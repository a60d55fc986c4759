"""The one place that knows SQLite from PostgreSQL: engine, schema, transactions, migrations, CV bytes."""

from intake.database.transactions import Database, serialised

__all__ = ["Database", "serialised"]

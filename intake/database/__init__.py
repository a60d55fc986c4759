"""The one place that knows SQLite from PostgreSQL: engine, schema, transactions, migrations, CV bytes."""

from intake.database.transactions import Database, insert_once, serialised, waiting_briefly

__all__ = ["Database", "insert_once", "serialised", "waiting_briefly"]

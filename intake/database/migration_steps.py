"""Operations of migrations: indexes that block no writes, and SQLite tables that are altered with their triggers."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op
from alembic.operations import BatchOperations
from sqlalchemy import text

_IS_INVALID = text("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
_TRIGGERS = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
_IS_AUTOINCREMENT = text("SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE type = 'table' AND name = :table")
_SEQUENCE = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
_REPLACE_SEQUENCE = (
    text("DELETE FROM sqlite_sequence WHERE name = :table"),
    text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :seq)"),
)


def create_index(name: str, table: str, columns: list[str], *, where: str | None = None) -> None:
    """Create an index; on PostgreSQL concurrently, after dropping an invalid one that an interrupted build left.

    The step commits what precedes, and is repeated as a whole after an error: it must do nothing else.
    """
    condition = None if where is None else text(where)
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(name, table, columns, sqlite_where=condition)
        return
    with op.get_context().autocommit_block():
        if op.get_bind().execute(_IS_INVALID, {"name": name}).scalar():
            op.drop_index(name, table, postgresql_concurrently=True)
        op.create_index(
            name, table, columns, postgresql_where=condition, postgresql_concurrently=True, if_not_exists=True
        )


@contextmanager
def alter_table(name: str) -> Iterator[BatchOperations]:
    """Alter a table like op.batch_alter_table.

    SQLite copies the table, and drops its triggers and its highest id with the old one: both are restored.
    """
    connection, table = op.get_bind(), {"table": name}
    if connection.dialect.name == "postgresql":
        with op.batch_alter_table(name) as batch:
            yield batch
        return
    triggers = {row.name: row.sql for row in connection.execute(_TRIGGERS, table)}
    numbered = bool(connection.execute(_IS_AUTOINCREMENT, table).scalar())
    highest = connection.execute(_SEQUENCE, table).scalar()
    with op.batch_alter_table(name, table_kwargs={"sqlite_autoincrement": numbered}) as batch:
        yield batch
    for lost in triggers.keys() - connection.execute(_TRIGGERS, table).scalars():
        connection.exec_driver_sql(triggers[lost])
    for statement in _REPLACE_SEQUENCE if highest is not None else ():
        connection.execute(statement, {**table, "seq": highest})

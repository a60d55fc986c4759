"""Alembic environment for `intake migrate`, which passes a connection, and for the `alembic` command."""

import os
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, update

from intake.database.engine import open_engine
from intake.database.schema import metadata, schema_window
from intake.database.word_index import is_described
from intake.settings import Settings


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=is_described,
        render_as_batch=True,
        transaction_per_migration=connection.dialect.name == "postgresql",  # unless the caller has begun one
        on_version_apply=raise_minimum,
    )
    with context.begin_transaction():
        context.run_migrations()


def raise_minimum(*, ctx: MigrationContext, step: MigrationInfo, **_more: Any) -> None:
    """Store the minimum revision that a contract step declares, in the transaction of the step."""
    minimum = getattr(getattr(step.up_revision, "module", None), "minimum_revision", None)
    if step.is_upgrade and minimum:
        assert ctx.connection is not None
        ctx.connection.execute(update(schema_window).values(minimum_revision=minimum))


connection = context.config.attributes.get("connection")
if connection is not None:
    run(connection)
else:
    engine = open_engine(Settings.from_environment(os.environ), connections=1, migrating=True)
    with engine.connect() if engine.dialect.name == "postgresql" else engine.begin() as own:
        run(own)

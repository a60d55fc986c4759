"""Alembic environment for `intake migrate`, which passes a connection, and for the `alembic` command."""

import os

from alembic import context
from sqlalchemy import Connection

from intake.database.engine import open_engine
from intake.database.schema import metadata
from intake.database.word_index import is_described
from intake.settings import Settings


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, include_name=is_described, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is not None:
    run(connection)
else:
    engine = open_engine(Settings.from_environment(os.environ), connections=1, migrating=True)
    with engine.begin() as own:
        run(own)

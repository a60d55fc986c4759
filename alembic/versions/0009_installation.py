"""Add a table of one row with a random id and a random key of the database."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    table = op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("database_id", sa.LargeBinary(32), nullable=False),
        sa.Column("client_key", sa.LargeBinary(32), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_id")),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
    )
    op.bulk_insert(table, [{"id": 1, "database_id": secrets.token_bytes(32), "client_key": secrets.token_bytes(32)}])


def downgrade() -> None:
    op.drop_table("installation")

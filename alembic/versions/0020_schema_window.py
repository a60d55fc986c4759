"""Add the minimum revision that code must know to run on the schema."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
phase = "expand"
release = "0.1.0"


def upgrade() -> None:
    table = op.create_table(
        "schema_window",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minimum_revision", sa.String(32), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_schema_window_id")),
        sa.PrimaryKeyConstraint("id", name="pk_schema_window"),
    )
    op.bulk_insert(table, [{"id": 1, "minimum_revision": revision}])


def downgrade() -> None:
    op.drop_table("schema_window")

"""Add pending deletions of erased leads' objects in CV stores."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"

KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "cv_deletion",
        sa.Column("store_key", KEY, nullable=False),
        sa.Column("store_url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("store_key", name="pk_cv_deletion"),
    )


def downgrade() -> None:
    op.drop_table("cv_deletion")

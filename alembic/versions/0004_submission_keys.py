"""Keys under which submissions are made once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "submission_key",
        sa.Column("email_key", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("content_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lead_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("email_key", "key", name="pk_submission_key"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name="fk_submission_key_lead_id", ondelete="CASCADE"),
    )
    op.create_index("ix_submission_key_lead_id", "submission_key", ["lead_id"])
    op.create_index("ix_submission_key_created_at", "submission_key", ["created_at"])

"""Since when a mail is owed: a mail that is revived begins anew."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("outbox_mail") as table:
        table.add_column(sa.Column("owed_since", sa.DateTime(timezone=True), nullable=True))
    # left nullable: SQLite would rebuild the table for more, and lose its AUTOINCREMENT, checks and partial index
    op.execute("UPDATE outbox_mail SET owed_since = created_at")

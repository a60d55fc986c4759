"""Claims on owed mail: whose it is for the moment, and until when."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("outbox_mail") as table:
        table.add_column(sa.Column("claim", sa.String(32), nullable=True))
        table.add_column(sa.Column("claimed_by", sa.Text(), nullable=True))
        table.add_column(sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True))

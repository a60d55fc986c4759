"""Limit the index of alerts by digest to mails with a digest."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    where = sa.text("digest_id IS NOT NULL")
    op.drop_index("ix_outbox_mail_digest_id", "outbox_mail")
    op.create_index(
        "ix_outbox_mail_digest_id", "outbox_mail", ["digest_id"], postgresql_where=where, sqlite_where=where
    )

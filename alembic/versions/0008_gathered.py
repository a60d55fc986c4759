"""Alerts found by the mail that tells of them, in an index that has no other mails in it."""

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

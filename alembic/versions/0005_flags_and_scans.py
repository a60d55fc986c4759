"""Add warning flags and scan states of CVs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("cv", sa.Column("flags", sa.Text(), nullable=False, server_default=""))
    # in SQL for both databases: SQLite adds no constraint to an existing table
    op.execute(
        "ALTER TABLE cv ADD COLUMN scan_state VARCHAR(32) DEFAULT 'unscanned' NOT NULL CONSTRAINT ck_cv_scan_state"
        " CHECK (scan_state IN ('unscanned', 'scanning', 'clean', 'quarantined', 'too-large-to-scan'))"
    )
    op.add_column("cv", sa.Column("signature", sa.Text(), nullable=True))
    op.add_column("cv", sa.Column("scan_attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("cv", sa.Column("next_scan_at", MOMENT, nullable=True))
    op.add_column("cv", sa.Column("scan_claim", sa.String(32), nullable=True))
    op.add_column("cv", sa.Column("scan_claimed_until", MOMENT, nullable=True))
    where = sa.text("scan_state = 'scanning'")
    op.create_index("ix_cv_scan_owed", "cv", ["next_scan_at"], postgresql_where=where, sqlite_where=where)

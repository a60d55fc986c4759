"""Add the text of CVs, and the hours by which deliveries of it are recorded once."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
HOUR_COLUMNS = ["user_id", "lead_id", "action", "hour"]


def _index(name: str, table: str, columns: list[str], condition: str, *, unique: bool = False) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, postgresql_where=where, sqlite_where=where)


def upgrade() -> None:
    op.create_table(
        "cv_text",
        sa.Column(
            "lead_id",
            ID,
            sa.ForeignKey("lead.id", ondelete="CASCADE", name="fk_cv_text_lead_id"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("state", sa.String(16), nullable=False, server_default="pending"),
        sa.Column("reason", sa.String(32)),
        sa.Column("text", sa.Text()),
        sa.Column("pages", sa.Text()),
        sa.Column("truncated", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("guessed", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("claim", sa.String(32)),
        sa.PrimaryKeyConstraint("lead_id", name="pk_cv_text"),
        sa.CheckConstraint(
            "state IN ('pending', 'done', 'empty', 'failed', 'withheld')", name=op.f("ck_cv_text_state")
        ),
    )
    _index("ix_cv_text_pending", "cv_text", ["next_attempt_at"], "state = 'pending'")
    # existing CVs are due like the newer ones, and the newest are extracted first
    op.execute(
        "INSERT INTO cv_text (lead_id, state, reason, next_attempt_at)"
        " SELECT cv.lead_id,"
        " CASE WHEN scan_state IN ('quarantined', 'too-large-to-scan') THEN 'withheld' ELSE 'pending' END,"
        " CASE WHEN scan_state IN ('quarantined', 'too-large-to-scan') THEN scan_state END,"
        " CASE WHEN scan_state IN ('unscanned', 'clean') THEN created_at END"
        " FROM cv JOIN lead ON lead.id = cv.lead_id"
    )
    op.add_column("audit", sa.Column("hour", sa.String(13), nullable=True))
    _index("ix_audit_hour", "audit", HOUR_COLUMNS, "hour IS NOT NULL", unique=True)


def downgrade() -> None:
    op.drop_index("ix_audit_hour", "audit")
    op.drop_column("audit", "hour")
    op.drop_table("cv_text")

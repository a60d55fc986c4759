"""Create leads with CVs and history, users, and the mail outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "user_account",
        sa.Column("id", ID, nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("username_key", KEY, nullable=False),
        sa.Column("password_hash", sa.String(60), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("token_generation", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user_account"),
        sa.UniqueConstraint("username_key", name="uq_user_account_username_key"),
        sa.CheckConstraint("role IN ('admin', 'attorney')", name="ck_user_account_role"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lead",
        sa.Column("id", ID, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("f_name", sa.Text(), nullable=False),
        sa.Column("l_name", sa.Text(), nullable=False),
        sa.Column("CV_name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("state_since", MOMENT, nullable=False),
        sa.Column("last_event_id", ID, nullable=True),
        sa.Column("email_key", KEY, nullable=False),
        sa.Column("f_name_key", KEY, nullable=False),
        sa.Column("l_name_key", KEY, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lead"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lead_email_key", "lead", ["email_key", "id"])
    op.create_index("ix_lead_f_name_key", "lead", ["f_name_key", "id"])
    op.create_index("ix_lead_l_name_key", "lead", ["l_name_key", "id"])
    op.create_index("ix_lead_state", "lead", ["state", "id"])
    op.create_index("ix_lead_created_at", "lead", ["created_at"])
    op.create_table(
        "cv",
        sa.Column("lead_id", ID, autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("detected_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("lead_id", name="pk_cv"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name="fk_cv_lead_id", ondelete="CASCADE"),
    )
    op.create_table(
        "lead_event",
        sa.Column("id", ID, nullable=False),
        sa.Column("lead_id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("from_state", sa.String(32), nullable=False),
        sa.Column("to_state", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lead_event"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name="fk_lead_event_lead_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="fk_lead_event_user_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lead_event_lead_id", "lead_event", ["lead_id", "id"])
    op.create_table(
        "submission_key",
        sa.Column("email_key", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("content_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("lead_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("email_key", "key", name="pk_submission_key"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name="fk_submission_key_lead_id", ondelete="CASCADE"),
    )
    op.create_index("ix_submission_key_lead_id", "submission_key", ["lead_id"])
    op.create_index("ix_submission_key_created_at", "submission_key", ["created_at"])
    op.create_table(
        "confirmed_address",
        sa.Column("email_key", KEY, nullable=False),
        sa.Column("lead_id", ID, nullable=False),
        sa.Column("confirmed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("email_key", name="pk_confirmed_address"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name="fk_confirmed_address_lead_id", ondelete="CASCADE"),
    )
    op.create_index("ix_confirmed_address_lead_id", "confirmed_address", ["lead_id"])
    op.create_table(
        "outbox_mail",
        sa.Column("id", ID, nullable=False),
        sa.Column("lead_id", ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.Column("owed_since", MOMENT, nullable=False),
        sa.Column("claim", sa.String(32), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", MOMENT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_mail"),
        sa.UniqueConstraint("message_id", name="uq_outbox_mail_message_id"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name="fk_outbox_mail_lead_id", ondelete="CASCADE"),
        sa.CheckConstraint("state IN ('owed', 'sent', 'dead', 'suppressed')", name="ck_outbox_mail_state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_mail_lead_id", "outbox_mail", ["lead_id"])
    where = sa.text("state = 'owed'")
    op.create_index(
        "ix_outbox_mail_owed", "outbox_mail", ["next_attempt_at"], postgresql_where=where, sqlite_where=where
    )
    if op.get_bind().dialect.name == "postgresql":
        # CVs are already compressed; without PostgreSQL's compression, pieces can be read on their own
        op.execute("ALTER TABLE cv ALTER COLUMN content SET STORAGE EXTERNAL")

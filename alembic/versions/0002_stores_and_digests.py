"""Separate CV bytes from their metadata, add CV stores, and group alerts into digests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def _split_in_place() -> None:
    """Rename the table of CVs to cv_content, so that the bytes stay in place, and move the metadata out."""
    op.rename_table("cv", "cv_content")
    for kind in ("pk_cv", "fk_cv"):
        rest = "_lead_id" if kind == "fk_cv" else ""
        op.execute(f"ALTER TABLE cv_content RENAME CONSTRAINT {kind}{rest} TO {kind}_content{rest}")
    op.create_table(
        "cv",
        sa.Column("lead_id", ID, autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("detected_type", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("lead_id", name="pk_cv"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name="fk_cv_lead_id", ondelete="CASCADE"),
    )
    op.execute("INSERT INTO cv SELECT lead_id, size, sha256, detected_type FROM cv_content")
    for column in ("size", "sha256", "detected_type"):
        op.drop_column("cv_content", column)


def _split_by_copying() -> None:
    """Copy the bytes: SQLite rewrites the whole table when a column is dropped."""
    op.create_table(
        "cv_content",
        sa.Column("lead_id", ID, autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("lead_id", name="pk_cv_content"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name="fk_cv_content_lead_id", ondelete="CASCADE"),
    )
    op.execute("INSERT INTO cv_content (lead_id, content) SELECT lead_id, content FROM cv")
    op.drop_column("cv", "content")


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        _split_in_place()
    else:
        _split_by_copying()
    op.add_column("cv", sa.Column("store_url", sa.Text(), nullable=True))
    op.add_column("cv", sa.Column("store_key", KEY, nullable=True))
    op.create_index("ix_cv_store_key", "cv", ["store_key"], unique=True)

    # in SQL for both databases: SQLite adds no constraint to an existing table
    op.execute(
        f"ALTER TABLE outbox_mail ADD COLUMN digest_id {'BIGINT' if is_postgresql else 'INTEGER'}"
        " CONSTRAINT fk_outbox_mail_digest_id REFERENCES outbox_mail (id) ON DELETE SET NULL"
    )
    op.create_index("ix_outbox_mail_digest_id", "outbox_mail", ["digest_id"])
    op.drop_index("ix_outbox_mail_owed", "outbox_mail")
    for name, column, condition in (
        ("due", "next_attempt_at", "state = 'owed' AND (kind <> 'alert' OR digest_id = id)"),
        ("ungathered", "recipient", "state = 'owed' AND kind = 'alert' AND digest_id IS NULL"),
        ("settled", "created_at", "state IN ('sent', 'suppressed')"),
    ):
        where = sa.text(condition)
        op.create_index(f"ix_outbox_mail_{name}", "outbox_mail", [column], postgresql_where=where, sqlite_where=where)
    op.create_table(
        "alerted_address",
        sa.Column("address", KEY, nullable=False),
        sa.Column("alerted_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("address", name="pk_alerted_address"),
    )

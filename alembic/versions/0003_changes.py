"""Add bulk changes, which can be undone as one, and external ids of leads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("from_state", sa.String(32), nullable=True),
        sa.Column("to_state", sa.String(32), nullable=True),
        sa.Column("undoes", sa.Uuid(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="fk_change_user_id"),
        sa.ForeignKeyConstraint(["undoes"], ["change.id"], name="fk_change_undoes"),
        sa.CheckConstraint("(to_state IS NULL) <> (undoes IS NULL)", name="ck_change_kind"),
    )
    op.create_index("ix_change_at", "change", ["at", "id"])
    op.create_index("ix_change_undoes", "change", ["undoes"])

    # in SQL for both databases: SQLite adds no constraint to an existing table
    op.execute(
        f"ALTER TABLE lead_event ADD COLUMN change_id {'UUID' if is_postgresql else 'CHAR(32)'}"
        " CONSTRAINT fk_lead_event_change_id REFERENCES change (id)"
    )
    op.create_index("ix_lead_event_change_id", "lead_event", ["change_id", "lead_id"], unique=True)

    op.add_column("lead", sa.Column("external_id", KEY, nullable=True))
    op.create_index("ix_lead_external_id", "lead", ["external_id"], unique=True)

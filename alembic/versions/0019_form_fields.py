"""Add the form's fields, consents, languages and signs of spam, and a random key that signs its timestamps."""

import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
SUSPECT = sa.text("suspect IS NOT NULL")


def _create_table(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("lead_id", ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=f"fk_{name}_lead_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("lead_id", "key", name=f"pk_{name}"),
    )


def upgrade() -> None:
    op.add_column("lead", sa.Column("suspect", sa.String(16), nullable=True))
    op.add_column("lead", sa.Column("language", sa.String(8), nullable=True))
    op.create_index("ix_lead_suspect", "lead", ["id"], postgresql_where=SUSPECT, sqlite_where=SUSPECT)
    _create_table(
        "lead_field",
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("version", sa.String(16), nullable=False),
    )
    _create_table(
        "lead_consent",
        sa.Column("text_sha256", sa.String(64), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("installation", sa.Column("form_key", sa.LargeBinary(32), nullable=True))
    table = sa.table("installation", sa.column("form_key"))
    op.execute(table.update().values(form_key=secrets.token_bytes(32)))
    with op.batch_alter_table("installation") as batch:
        batch.alter_column("form_key", nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("installation") as batch:
        batch.drop_column("form_key")
    op.drop_table("lead_consent")
    op.drop_table("lead_field")
    op.drop_index("ix_lead_suspect", "lead")
    op.drop_column("lead", "language")
    op.drop_column("lead", "suspect")

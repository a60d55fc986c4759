"""Add the random values of the CV store's last two markers."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

NONCES = ("marker_nonce", "previous_marker_nonce")
COLUMNS = (*NONCES, "marker_nonce_at")


def upgrade() -> None:
    for name in NONCES:
        op.add_column("installation", sa.Column(name, sa.LargeBinary(16), nullable=True))
    op.add_column("installation", sa.Column("marker_nonce_at", sa.DateTime(timezone=True), nullable=True))
    table = sa.table("installation", *map(sa.column, COLUMNS))
    op.execute(
        table.update().values(
            {name: secrets.token_bytes(16) for name in NONCES} | {"marker_nonce_at": sa.text("CURRENT_TIMESTAMP")}
        )
    )
    with op.batch_alter_table("installation") as batch:
        for name in COLUMNS:
            batch.alter_column(name, nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("installation") as batch:
        for name in COLUMNS:
            batch.drop_column(name)

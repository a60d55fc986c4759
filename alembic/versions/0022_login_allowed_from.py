"""Store the address that `intake allow-login --from` gives priority."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
phase = "expand"
release = "0.1.0"


def upgrade() -> None:
    op.add_column("user_account", sa.Column("login_allowed_from", sa.String(64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("user_account") as batch:
        batch.drop_column("login_allowed_from")

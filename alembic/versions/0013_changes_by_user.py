"""Index bulk changes that changed leads, for all users and by user."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    where = sa.text("count > 0")
    op.drop_index("ix_change_at", "change")
    for name, columns in (("ix_change_at", ["at", "id"]), ("ix_change_user_id", ["user_id", "at", "id"])):
        op.create_index(name, "change", columns, postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    op.drop_index("ix_change_user_id", "change")
    op.drop_index("ix_change_at", "change")
    op.create_index("ix_change_at", "change", ["at", "id"])

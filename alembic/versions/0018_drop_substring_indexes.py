"""Drop the optional indexes for substring search, which search by words replaces.

The extension pg_trgm stays: other applications may use it. A downgrade does not create them again: the versions before
this one search without them.
"""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP INDEX IF EXISTS ix_lead_parts")
        return
    for event in ("insert", "delete", "update"):
        op.execute(f"DROP TRIGGER IF EXISTS lead_search_{event}")
    op.execute("DROP TABLE IF EXISTS lead_search")


def downgrade() -> None:
    """Leave the indexes away."""

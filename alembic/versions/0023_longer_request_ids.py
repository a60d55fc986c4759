"""Let the audit trail store the longer request IDs of proxies."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
phase = "expand"
release = "0.1.0"


def upgrade() -> None:
    _resize(64)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE audit DISABLE TRIGGER USER")
        op.execute("UPDATE audit SET request_id = left(request_id, 16) WHERE length(request_id) > 16")
        op.execute("ALTER TABLE audit ENABLE TRIGGER USER")
    _resize(16)


def _resize(characters: int) -> None:
    """Set the number of characters, which SQLite ignores."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("audit", "request_id", type_=sa.String(characters))

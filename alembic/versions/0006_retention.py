"""Add an index of leads by state and time of its last change, for retention."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("ix_lead_state_since", "lead", ["state", "state_since"])

"""Leads found by how long they have been in their state."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("ix_lead_state_since", "lead", ["state", "state_since"])

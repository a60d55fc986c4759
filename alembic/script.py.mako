"""${message}."""

<%! from leadctl import __version__ %>\
import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
phase = "expand"  # or "contract", with minimum_revision: see docs/decisions/0071
release = ${repr(__version__)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}

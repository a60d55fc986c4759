"""Migrations that only tests have."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from intake.database import migrations

ROOT = Path(__file__).parents[2]
HEAD = ScriptDirectory(str(ROOT / "alembic")).get_current_head()
STEP = '''"""A migration made for a test."""

import sqlalchemy as sa
from alembic import op

from intake.database.migration_steps import alter_table, create_index

revision = {revision!r}
down_revision = {down_revision!r}
phase = {phase!r}
release = "999.{number}.0"
{minimum}

def upgrade() -> None:
    {body}
'''
ADD_COLUMN = 'op.add_column("lead", sa.Column("nickname", sa.Text(), nullable=True))'
DROP_COLUMN = 'op.drop_column("lead", "language")'
CREATE_INDEX = 'create_index("ix_lead_language", "lead", ["language"], where="language IS NOT NULL")'
CREATE_TABLE = 'op.create_table("made", sa.Column("id", sa.Integer(), primary_key=True))'

AddSteps = Callable[..., None]


def write_steps(scripts: Path, *bodies: str, minimum: str | None = None, after: str | None = HEAD) -> None:
    """Add a step for each body, made0 and so on; with a minimum revision, they are contract steps."""
    for number, body in enumerate(bodies):
        text = STEP.format(
            revision=f"made{number}",
            down_revision=f"made{number - 1}" if number else after,
            phase="contract" if minimum else "expand",
            number=number,
            minimum=f"minimum_revision = {minimum!r}\n" if minimum else "",
            body=body,
        )
        (scripts / f"versions/made{number}.py").write_text(text)


@pytest.fixture
def add_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddSteps:
    """A function that turns this version into one with further steps, until `monkeypatch` is undone."""

    def add(*bodies: str, minimum: str | None = None) -> None:
        scripts = tmp_path / "scripts"
        shutil.copytree(ROOT / "alembic", scripts, ignore=shutil.ignore_patterns("__pycache__"))
        write_steps(scripts, *bodies, minimum=minimum)
        with_steps = ScriptDirectory(str(scripts))
        monkeypatch.setattr(migrations, "_scripts", lambda: scripts)
        monkeypatch.setattr(migrations, "_heads", lambda: tuple(with_steps.get_heads()))
        monkeypatch.setattr(migrations, "_revisions", lambda: {s.revision for s in with_steps.walk_revisions()})

    return add

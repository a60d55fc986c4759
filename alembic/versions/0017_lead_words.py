"""Add the words of leads and their index; the worker fills it for existing leads.

On SQLite, triggers keep the index equal to the table: a deletion must pass the words that were indexed, because others
would leave them in the index.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.exc import OperationalError

from intake.errors import DatabaseNotMigrated

revision = "0017"
down_revision = "0016"

UNMERGED = 8  # segments per level; FTS5's default of 4 merges more often, in the transactions of submissions
PENDING_KB = 512  # of new words, which each search scans: PostgreSQL's default of 4 MB slows down searches and merges

INSERT = "INSERT INTO word_index (rowid, words) VALUES (new.lead_id, new.words);"
DELETE = "INSERT INTO word_index (word_index, rowid, words) VALUES ('delete', old.lead_id, old.words);"
ON_SQLITE = (
    "CREATE VIRTUAL TABLE word_vocab USING fts5vocab('word_index', 'row')",
    f"INSERT INTO word_index (word_index, rank) VALUES ('automerge', {UNMERGED})",  # noqa: S608 - the number above
    f"CREATE TRIGGER word_index_insert AFTER INSERT ON lead_words BEGIN {INSERT} END",
    f"CREATE TRIGGER word_index_delete AFTER DELETE ON lead_words BEGIN {DELETE} END",
    f"CREATE TRIGGER word_index_update AFTER UPDATE ON lead_words BEGIN {DELETE} {INSERT} END",
)


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "lead_words",
        sa.Column("lead_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=False, nullable=False),
        sa.Column("words", sa.Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
        sa.Column("search_truncated", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], "fk_lead_words_lead_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("lead_id", name="pk_lead_words"),
    )
    if not is_sqlite:
        op.execute(
            f"CREATE INDEX word_index ON lead_words USING gin (words) WITH (gin_pending_list_limit = {PENDING_KB})"
        )
        return
    try:
        op.execute(
            "CREATE VIRTUAL TABLE word_index USING fts5(words, content='lead_words', content_rowid='lead_id',"
            " detail=none, columnsize=0, prefix='1 2 3', tokenize=\"ascii tokenchars '_'\")"
        )
    except OperationalError as error:
        raise DatabaseNotMigrated(
            f"search needs SQLite with FTS5, which this Python lacks ({error.orig}); use another Python"
        ) from error
    for statement in ON_SQLITE:
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE word_vocab")
        for event in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER word_index_{event}")
        op.execute("DROP TABLE word_index")
    op.drop_table("lead_words")

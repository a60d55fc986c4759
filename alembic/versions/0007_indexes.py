"""Add indexes for substring search, for audit entries by user and time, and for unsent mails.

The first is an optional trigram index: without support for it in the database, a search scans all leads. On SQLite, a
later migration that rebuilds the table of leads must create the triggers again.
"""

import sqlalchemy as sa
from alembic import op
from psycopg2.errors import FeatureNotSupported, InsufficientPrivilege, UndefinedFile
from sqlalchemy.exc import DBAPIError, OperationalError

revision = "0007"
down_revision = "0006"

UNMERGED = 8  # segments per level; with FTS5's default of 4, submissions among a million leads take four times as long
PENDING_KB = 512  # of new leads, which each search scans: PostgreSQL's default of 4 MB slows down searches and merges

ON_SQLITE = (
    f"INSERT INTO lead_search (lead_search, rank) VALUES ('automerge', {UNMERGED})",  # noqa: S608 - the number above
    "INSERT INTO lead_search (lead_search) VALUES ('rebuild')",
    # otherwise a submission soon waits over a second while the segments of a million leads are merged
    "INSERT INTO lead_search (lead_search) VALUES ('optimize')",
    """
    CREATE TRIGGER lead_search_insert AFTER INSERT ON lead BEGIN
        INSERT INTO lead_search (rowid, email_key, f_name_key, l_name_key)
        VALUES (new.id, new.email_key, new.f_name_key, new.l_name_key);
    END
    """,
    """
    CREATE TRIGGER lead_search_delete AFTER DELETE ON lead BEGIN
        INSERT INTO lead_search (lead_search, rowid, email_key, f_name_key, l_name_key)
        VALUES ('delete', old.id, old.email_key, old.f_name_key, old.l_name_key);
    END
    """,
    """
    CREATE TRIGGER lead_search_update AFTER UPDATE OF id, email_key, f_name_key, l_name_key ON lead BEGIN
        INSERT INTO lead_search (lead_search, rowid, email_key, f_name_key, l_name_key)
        VALUES ('delete', old.id, old.email_key, old.f_name_key, old.l_name_key);
        INSERT INTO lead_search (rowid, email_key, f_name_key, l_name_key)
        VALUES (new.id, new.email_key, new.f_name_key, new.l_name_key);
    END
    """,
)


def _on_sqlite() -> None:
    try:
        op.execute(
            "CREATE VIRTUAL TABLE lead_search USING fts5(email_key, f_name_key, l_name_key, content='lead',"
            " content_rowid='id', columnsize=0, tokenize='trigram case_sensitive 1')"
        )
    except OperationalError:  # SQLite lacks FTS5, or its trigram tokenizer (before 3.34)
        return
    for statement in ON_SQLITE:
        op.execute(statement)


def _on_postgresql() -> None:
    connection = op.get_bind()
    where = "SELECT quote_ident(nspname) FROM pg_namespace n JOIN pg_extension e ON e.extnamespace = n.oid"
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            schema = connection.exec_driver_sql(f"{where} WHERE extname = 'pg_trgm'").scalar_one()
            keys = ", ".join(f"{key} {schema}.gin_trgm_ops" for key in ("email_key", "f_name_key", "l_name_key"))
            connection.exec_driver_sql(
                f"CREATE INDEX ix_lead_parts ON lead USING gin ({keys}) WITH (gin_pending_list_limit = {PENDING_KB})"
            )
    except DBAPIError as error:  # the server lacks the extension, or this role must not create it
        if not isinstance(error.orig, (FeatureNotSupported, InsufficientPrivilege, UndefinedFile)):
            raise


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _on_postgresql()
    else:
        _on_sqlite()
    op.create_index("ix_audit_at", "audit", ["at", "id"])
    for name, table, columns, condition in (
        ("ix_audit_subject_id", "audit", ["subject_id", "id"], "subject_id IS NOT NULL"),
        ("ix_outbox_mail_unsent", "outbox_mail", ["state", "id"], "state IN ('owed', 'dead')"),
    ):
        where = sa.text(condition)
        op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)

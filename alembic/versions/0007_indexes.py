"""Leads found by a part of a name or an address; entries of the audit trail by user and time; mails that are unsent.

The first is an index of trigrams, where the database can have one, and never required: without it, a search walks along
the leads. On SQLite, a later step that rebuilds the table of leads must make the triggers anew.
"""

import sqlalchemy as sa
from alembic import op
from psycopg2.errors import FeatureNotSupported, InsufficientPrivilege, UndefinedFile
from sqlalchemy.exc import DBAPIError, OperationalError

revision = "0007"
down_revision = "0006"

UNMERGED = 8  # segments on a level; with FTS5's own 4, a submission among a million takes four times as long for it
PENDING_KB = 512  # of new leads, through which each search reads: PostgreSQL's own 4 MB make it, and a merge, slow

ON_SQLITE = (
    f"INSERT INTO lead_search (lead_search, rank) VALUES ('automerge', {UNMERGED})",  # noqa: S608 - the number above
    "INSERT INTO lead_search (lead_search) VALUES ('rebuild')",
    # else a submission soon has to wait while what a million leads left is merged, for over a second
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
    except OperationalError:  # there is no FTS5 in this library, or no trigram in it (before 3.34)
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
    except DBAPIError as error:  # the server does not have it, or this role may not have it made
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

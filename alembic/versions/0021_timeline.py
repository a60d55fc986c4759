"""Store the timeline of a PostgreSQL server, and add a function that refuses to write after a promotion."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
phase = "expand"
release = "0.1.0"

# A server that lacks one of these functions, or the right to call it, has no timeline, and is not checked.
FUNCTIONS = (
    """
    CREATE FUNCTION wal_timeline() RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        RETURN left(pg_walfile_name(pg_current_wal_lsn()), 8);
    EXCEPTION WHEN undefined_function OR insufficient_privilege OR feature_not_supported THEN
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION refuse_new_timeline() RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        current_timeline text := wal_timeline();
    BEGIN
        IF (SELECT timeline FROM installation) IS DISTINCT FROM current_timeline AND current_timeline IS NOT NULL THEN
            RAISE EXCEPTION 'this server was promoted' USING ERRCODE = 'IN001';
        END IF;
    END $$
    """,
)


def upgrade() -> None:
    op.add_column("installation", sa.Column("timeline", sa.String(8), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        for function in FUNCTIONS:
            op.execute(function)
        op.execute("UPDATE installation SET timeline = wal_timeline()")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_new_timeline()")
        op.execute("DROP FUNCTION wal_timeline()")
    with op.batch_alter_table("installation") as batch:
        batch.drop_column("timeline")

"""Store the timeline of a PostgreSQL server, and add functions that notice a promotion and skip ids."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
phase = "expand"
release = "0.1.0"

# A server that lacks one of these functions, or the right to call it, has no timeline, and is not checked.
TIMELINE = """
    CREATE FUNCTION wal_timeline() RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        RETURN left(pg_walfile_name(pg_current_wal_lsn()), 8);
    EXCEPTION WHEN undefined_function OR insufficient_privilege OR feature_not_supported THEN
        RETURN NULL;
    END $$
"""
REFUSE = """
    CREATE FUNCTION refuse_new_timeline() RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        current_timeline text := wal_timeline();
    BEGIN
        IF (SELECT timeline FROM installation) IS DISTINCT FROM current_timeline AND current_timeline IS NOT NULL THEN
            RAISE EXCEPTION 'this server was promoted' USING ERRCODE = 'IN001';
        END IF;
    END $$
"""
# Returns the earlier timeline, or NULL if no id is skipped. It runs with the rights of the owner, because the service's
# role may lack those to set a sequence.
FOLLOW = """
    CREATE FUNCTION follow_timeline(gap bigint) RETURNS text LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    DECLARE
        current_timeline text := wal_timeline();
        stored text;
    BEGIN
        SELECT timeline INTO stored FROM installation FOR UPDATE;
        IF stored IS NOT DISTINCT FROM current_timeline THEN
            RETURN NULL;
        END IF;
        IF stored IS NOT NULL THEN
            PERFORM setval(
                format('%I.%I', schemaname, sequencename)::regclass, greatest(coalesce(last_value, 0) + gap, 1)
            ) FROM pg_sequences WHERE schemaname = current_schema() AND sequenceowner = current_user;
        END IF;
        UPDATE installation SET timeline = current_timeline;
        RETURN stored;
    END $$
"""
FUNCTIONS = ("follow_timeline(bigint)", "refuse_new_timeline()", "wal_timeline()")


def upgrade() -> None:
    op.add_column("installation", sa.Column("timeline", sa.String(8), nullable=True))
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
        for function in (TIMELINE, REFUSE, FOLLOW.replace("{schema}", schema)):
            connection.exec_driver_sql(function.replace("%", "%%"))
        op.execute("UPDATE installation SET timeline = wal_timeline()")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for function in FUNCTIONS:
            op.execute(f"DROP FUNCTION {function}")
    with op.batch_alter_table("installation") as batch:
        batch.drop_column("timeline")

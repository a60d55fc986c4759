"""Rename the mail states `owed` to `queued` and `dead` to `failed`."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

INDEXES = (
    ("due", ["next_attempt_at"], "state = '{queued}' AND (kind <> 'alert' OR digest_id = id) AND held_by IS NULL"),
    ("held", ["held_by", "held_since"], "state = '{queued}' AND held_by IS NOT NULL"),
    ("ungathered", ["recipient"], "state = '{queued}' AND kind = 'alert' AND digest_id IS NULL"),
    ("unsent", ["state", "id"], "state IN ('{queued}', '{failed}')"),
)
# revision 0001 made the check under this name: the naming convention was applied to a whole name
OLD = {"queued": "owed", "failed": "dead", "check": "ck_outbox_mail_ck_outbox_mail_state"}
NEW = {"queued": "queued", "failed": "failed", "check": "ck_outbox_mail_state"}
DIGEST_KEY = "fk_outbox_mail_digest_id"


def _index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)


def _rename_states(before: dict[str, str], after: dict[str, str]) -> None:
    for name in ("queued", "failed"):
        op.execute(f"UPDATE outbox_mail SET state = '{after[name]}' WHERE state = '{before[name]}'")  # noqa: S608 - names from above


def _change_on_sqlite(before: dict[str, str], after: dict[str, str]) -> None:
    """Rename the states without the old check, then copy the table once."""
    connection = op.get_bind()
    highest = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'outbox_mail'").scalar()
    op.execute("PRAGMA ignore_check_constraints = ON")
    _rename_states(before, after)
    # the key was added with its column: SQLAlchemy reads neither its name nor its rule
    convention = {"fk": "fk_%(table_name)s_%(column_0_name)s"}
    options = {"table_kwargs": {"sqlite_autoincrement": True}, "naming_convention": convention}
    with op.batch_alter_table("outbox_mail", **options) as table:
        table.drop_constraint(op.f(before["check"]), type_="check")
        table.create_check_constraint(op.f(after["check"]), _check(after))
        table.alter_column(f"{before['queued']}_since", new_column_name=f"{after['queued']}_since")
        table.drop_constraint(DIGEST_KEY, type_="foreignkey")
        table.create_foreign_key(DIGEST_KEY, "outbox_mail", ["digest_id"], ["id"], ondelete="SET NULL")
    op.execute("PRAGMA ignore_check_constraints = OFF")
    if highest is not None:  # the copy counts from the highest id that is left, and ids must not be used twice
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'outbox_mail'")
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox_mail', ?)", (highest,))


def _change_on_postgresql(before: dict[str, str], after: dict[str, str]) -> None:
    op.drop_constraint(op.f(before["check"]), "outbox_mail", type_="check")
    _rename_states(before, after)
    op.create_check_constraint(op.f(after["check"]), "outbox_mail", _check(after))
    op.alter_column("outbox_mail", f"{before['queued']}_since", new_column_name=f"{after['queued']}_since")


def _check(names: dict[str, str]) -> str:
    return f"state IN ('{names['queued']}', 'sent', '{names['failed']}', 'suppressed')"


def _change(before: dict[str, str], after: dict[str, str]) -> None:
    for name, _, _ in INDEXES:
        op.drop_index(f"ix_outbox_mail_{name}", "outbox_mail")
    change = _change_on_postgresql if op.get_bind().dialect.name == "postgresql" else _change_on_sqlite
    change(before, after)
    for name, columns, condition in INDEXES:
        _index(f"ix_outbox_mail_{name}", "outbox_mail", columns, condition.format(**after))


def upgrade() -> None:
    _change(OLD, NEW)
    op.drop_index("ix_cv_scan_owed", "cv")
    _index("ix_cv_scan_pending", "cv", ["next_scan_at"], "scan_state = 'scanning'")


def downgrade() -> None:
    _change(NEW, OLD)
    op.drop_index("ix_cv_scan_pending", "cv")
    _index("ix_cv_scan_owed", "cv", ["next_scan_at"], "scan_state = 'scanning'")

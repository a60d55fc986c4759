"""Suppress confirmations by mailbox instead of address, and add caps on confirmations."""

import unicodedata
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
MOMENT = sa.DateTime(timezone=True)
ROWS = 5_000  # read at once
OLD_DUE = "state = 'owed' AND (kind <> 'alert' OR digest_id = id)"
COLUMNS = (("capped_domain", KEY), ("counted_at", MOMENT), ("held_by", KEY), ("held_since", MOMENT))


def _mailbox_key(address: str) -> str:
    """Return the key as the code of this revision does."""
    local, _, domain = address.rpartition("@")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", local).casefold())
    mailbox, domain = folded.partition("+")[0] or folded, domain.lower()
    ignored = ""
    if domain in ("gmail.com", "googlemail.com"):
        ignored, domain = ".", "gmail.com"
    elif domain in ("proton.me", "protonmail.com", "protonmail.ch", "pm.me"):
        ignored, domain = ".-_", "proton.me"
    return f"{mailbox.translate(str.maketrans('', '', ignored))}@{domain}"


def _old_rows(connection: sa.Connection) -> Iterator[list[dict[str, Any]]]:
    after = ""
    query = sa.text(
        "SELECT c.email_key, c.lead_id, c.confirmed_at, l.email"
        " FROM confirmed_address c JOIN lead l ON l.id = c.lead_id"
        " WHERE c.email_key > :after ORDER BY c.email_key LIMIT :rows"
    )
    while rows := connection.execute(query, {"after": after, "rows": ROWS}).mappings().all():
        yield [
            {"mailbox": _mailbox_key(row["email"]), "lead": row["lead_id"], "at": row["confirmed_at"]} for row in rows
        ]
        after = rows[-1]["email_key"]


def _make(table: str, key: str) -> None:
    op.create_table(
        table,
        sa.Column(key, KEY, nullable=False),
        sa.Column("lead_id", ID, nullable=False),
        sa.Column("confirmed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint(key, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=f"fk_{table}_lead_id", ondelete="CASCADE"),
    )


def _index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(f"ix_outbox_mail_{name}", "outbox_mail", columns, postgresql_where=where, sqlite_where=where)


def upgrade() -> None:
    connection = op.get_bind()
    _make("confirmed_mailbox", "mailbox_key")
    # of several addresses with one mailbox, the last confirmation counts
    upsert = sa.text(
        "INSERT INTO confirmed_mailbox (mailbox_key, lead_id, confirmed_at) VALUES (:mailbox, :lead, :at)"
        " ON CONFLICT (mailbox_key) DO UPDATE SET lead_id = excluded.lead_id, confirmed_at = excluded.confirmed_at"
        " WHERE excluded.confirmed_at > confirmed_mailbox.confirmed_at"
    )
    for rows in _old_rows(connection):
        connection.execute(upsert, rows)
    op.drop_table("confirmed_address")
    op.create_index("ix_confirmed_mailbox_lead_id", "confirmed_mailbox", ["lead_id"])
    for name, kind in COLUMNS:
        op.add_column("outbox_mail", sa.Column(name, kind, nullable=True))
    op.drop_index("ix_outbox_mail_due", "outbox_mail")
    _index("due", ["next_attempt_at"], f"{OLD_DUE} AND held_by IS NULL")
    _index("held", ["held_by", "held_since"], "state = 'owed' AND held_by IS NOT NULL")
    _index("counted", ["counted_at", "capped_domain"], "counted_at IS NOT NULL")


def downgrade() -> None:
    _make("confirmed_address", "email_key")
    op.execute(
        "INSERT INTO confirmed_address (email_key, lead_id, confirmed_at)"
        " SELECT l.email_key, c.lead_id, c.confirmed_at FROM confirmed_mailbox c JOIN lead l ON l.id = c.lead_id"
        " WHERE true ORDER BY c.confirmed_at DESC ON CONFLICT (email_key) DO NOTHING"
    )
    op.drop_table("confirmed_mailbox")
    op.create_index("ix_confirmed_address_lead_id", "confirmed_address", ["lead_id"])
    for name in ("due", "held", "counted"):
        op.drop_index(f"ix_outbox_mail_{name}", "outbox_mail")
    for name, _ in COLUMNS:
        op.drop_column("outbox_mail", name)
    _index("due", ["next_attempt_at"], OLD_DUE)

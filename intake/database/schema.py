"""Tables. CV bytes have their own table, so that lists never read them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TextClause,
    Uuid,
    false,
    text,
)
from sqlalchemy.dialects import postgresql

from intake.database.clock import Now, UtcDateTime
from intake.database.words_type import Words


def _partial(name: str, *columns: str, where: TextClause, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, postgresql_where=where, sqlite_where=where)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite requires INTEGER for AUTOINCREMENT; it has 64 bits
# Keys compare by code point on both databases, so that values and prefixes (as ranges) use the index.
Key = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

# one row of random values: the database's id, and keys: for hashes of client addresses in shared stores, and for forms
installation = Table(
    "installation",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="id"), primary_key=True, autoincrement=False),
    Column("database_id", LargeBinary(32), nullable=False),
    Column("client_key", LargeBinary(32), nullable=False),
    # random values in the CV store's last two markers, which a copy of the database does not learn
    Column("marker_nonce", LargeBinary(16), nullable=False),
    Column("previous_marker_nonce", LargeBinary(16), nullable=False),
    Column("marker_nonce_at", UtcDateTime, nullable=False),
    Column("form_key", LargeBinary(32), nullable=False),
    Column("timeline", String(8)),  # of PostgreSQL, at the last write
)

# one row: the revision that code must know to run on this schema
schema_window = Table(
    "schema_window",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="id"), primary_key=True, autoincrement=False),
    Column("minimum_revision", String(32), nullable=False),
)

# Queries must repeat the condition of a partial index literally: otherwise SQLite does not use the index.
SUSPECT = text("suspect IS NOT NULL")

lead = Table(
    "lead",
    metadata,
    Column("id", Id, primary_key=True),
    Column("email", Text, nullable=False),
    Column("f_name", Text, nullable=False),
    Column("l_name", Text, nullable=False),
    Column("CV_name", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("created_at", UtcDateTime, nullable=False, default=Now()),
    Column("state_since", UtcDateTime, nullable=False, default=Now()),
    Column("last_event_id", Id),  # no foreign key: the event refers to its lead, and neither could be inserted first
    Column("email_key", Key, nullable=False),
    Column("f_name_key", Key, nullable=False),
    Column("l_name_key", Key, nullable=False),
    Column("external_id", Key),  # the id in another system
    Column("suspect", String(16)),  # the sign of spam, until an attorney clears it
    Column("language", String(8)),  # in which the form was shown
    Index("ix_lead_external_id", "external_id", unique=True),
    Index("ix_lead_email_key", "email_key", "id"),
    Index("ix_lead_f_name_key", "f_name_key", "id"),
    Index("ix_lead_l_name_key", "l_name_key", "id"),
    Index("ix_lead_state", "state", "id"),
    Index("ix_lead_state_since", "state", "state_since"),
    Index("ix_lead_created_at", "created_at"),
    _partial("ix_lead_suspect", "id", where=SUSPECT),
    sqlite_autoincrement=True,
)

# Repeated literally in queries, like SUSPECT.
SCAN_PENDING = text("scan_state = 'scanning'")

# values of the fields that the firm defines; `version` identifies the question that they answer
lead_field = Table(
    "lead_field",
    metadata,
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("key", Key, primary_key=True),
    Column("value", Text, nullable=False),
    Column("version", String(16), nullable=False),
)

# acknowledgements of the privacy notice (key: privacy) and consents, with the hash of the text that was shown
lead_consent = Table(
    "lead_consent",
    metadata,
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("key", Key, primary_key=True),
    Column("text_sha256", String(64), nullable=False),
    Column("version", Text),  # of the firm's privacy notice
    Column("language", String(8), nullable=False),
    Column("given_at", UtcDateTime, nullable=False, default=Now()),
)

# metadata of CVs; the bytes are in `cv_content`, or in a store under a unique key
cv = Table(
    "cv",
    metadata,
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("detected_type", Text, nullable=False),
    Column("store_url", Text),
    Column("store_key", Key),
    Column("flags", Text, nullable=False, server_default=""),  # words, separated by commas
    Column(
        "scan_state",
        String(32),
        CheckConstraint(
            "scan_state IN ('unscanned', 'scanning', 'clean', 'quarantined', 'too-large-to-scan')", name="scan_state"
        ),
        nullable=False,
        server_default="unscanned",
    ),
    Column("signature", Text),  # the signature that clamd found
    Column("scan_attempts", Integer, nullable=False, server_default="0"),
    Column("next_scan_at", UtcDateTime),
    Column("scan_claim", String(32)),
    Column("scan_claimed_until", UtcDateTime),
    Index("ix_cv_store_key", "store_key", unique=True),
    _partial("ix_cv_scan_pending", "next_scan_at", where=SCAN_PENDING),
)

cv_content = Table(
    "cv_content",
    metadata,
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)

# Repeated literally in queries, like SUSPECT.
TEXT_PENDING = text("state = 'pending'")

# text of CVs, and the queue of extractions
cv_text = Table(
    "cv_text",
    metadata,
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column(
        "state",
        String(16),
        CheckConstraint("state IN ('pending', 'done', 'empty', 'failed', 'withheld')", name="state"),
        nullable=False,
        server_default="pending",
    ),
    Column("reason", String(32)),
    Column("text", Text),
    Column("pages", Text),  # JSON: the offsets in code points at which pages start
    Column("truncated", Boolean, nullable=False, server_default=false()),
    Column("guessed", Boolean, nullable=False, server_default=false()),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", UtcDateTime),  # while claimed: the end of the lease; null: a scan must end first
    Column("claim", String(32)),
    _partial("ix_cv_text_pending", "next_attempt_at", where=TEXT_PENDING),
)

# Objects of erased leads that are still in a store. Without lead ids: the keys are random and identify nobody.
cv_deletion = Table(
    "cv_deletion",
    metadata,
    Column("store_key", Key, primary_key=True),
    Column("store_url", Text, nullable=False),
)

# the words by which a lead is found, and the version of the tokenizer that made them; `database/word_index.py`
lead_words = Table(
    "lead_words",
    metadata,
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("words", Words, nullable=False),
    Column("search_truncated", Boolean, nullable=False),  # some words were left out
    Column("version", Integer, nullable=False),
)

submission_key = Table(
    "submission_key",
    metadata,
    Column("email_key", Key, primary_key=True),
    Column("key", Key, primary_key=True),
    Column("content_sha256", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False, default=Now()),
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE")),  # set later in the same transaction
    Index("ix_submission_key_lead_id", "lead_id"),
    Index("ix_submission_key_created_at", "created_at"),
)

# mailboxes that had a confirmation, with the lead of the last one
confirmed_mailbox = Table(
    "confirmed_mailbox",
    metadata,
    Column("mailbox_key", Key, primary_key=True),
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE"), nullable=False),
    Column("confirmed_at", UtcDateTime, nullable=False, default=Now()),
    Index("ix_confirmed_mailbox_lead_id", "lead_id"),
)

# the time of the last alert to each attorney
alerted_address = Table(
    "alerted_address",
    metadata,
    Column("address", Key, primary_key=True),
    Column("alerted_at", UtcDateTime, nullable=False, default=Now()),
)

# Repeated literally in queries, like SUSPECT.
MOVED = text("count > 0")

# bulk changes of state and their reversals; `count` includes leads that were erased since
change = Table(
    "change",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Id, ForeignKey("user_account.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False, default=Now()),
    Column("from_state", String(32)),
    Column("to_state", String(32)),
    Column("undoes", Uuid, ForeignKey("change.id")),
    Column("count", Integer, nullable=False, default=0),
    CheckConstraint("(to_state IS NULL) <> (undoes IS NULL)", name="kind"),
    _partial("ix_change_at", "at", "id", where=MOVED),
    _partial("ix_change_user_id", "user_id", "at", "id", where=MOVED),
    Index("ix_change_undoes", "undoes"),
)

lead_event = Table(
    "lead_event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Id, ForeignKey("user_account.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False, default=Now()),
    Column("from_state", String(32), nullable=False),
    Column("to_state", String(32), nullable=False),
    Column("change_id", Uuid, ForeignKey("change.id")),
    Index("ix_lead_event_lead_id", "lead_id", "id"),
    Index("ix_lead_event_change_id", "change_id", "lead_id", unique=True),
    sqlite_autoincrement=True,
)

user_account = Table(
    "user_account",
    metadata,
    Column("id", Id, primary_key=True),
    Column("username", String(64), nullable=False),
    Column("username_key", Key, nullable=False, unique=True),
    Column("password_hash", String(60), nullable=False),
    Column("role", String(16), CheckConstraint("role IN ('admin', 'attorney')", name="role"), nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("token_generation", Integer, nullable=False, default=0),
    Column("created_at", UtcDateTime, nullable=False, default=Now()),
    Column("login_allowed_until", UtcDateTime),  # `intake allow-login`
    Column("login_allowed_from", String(64)),  # its --from, a key of a client; null means any
    sqlite_autoincrement=True,
)

# audit trail; triggers prevent updates and deletions. Ids of erased leads remain.
audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", UtcDateTime, nullable=False, default=Now()),
    Column("action", String(32), nullable=False),
    Column("user_id", Id, ForeignKey("user_account.id")),  # the acting user
    Column("subject_id", Id, ForeignKey("user_account.id")),  # the affected user
    Column("lead_id", Id),
    Column("detail", Text),
    Column("client", String(45)),  # the length of the longest IPv6 address
    Column("request_id", String(64).with_variant(String(16), "sqlite")),
    Column("hour", String(13)),  # in UTC; set where an action on a lead is recorded once per user and hour
    Index("ix_audit_user_id", "user_id", "id"),
    Index("ix_audit_lead_id", "lead_id", "id"),
    Index("ix_audit_action", "action", "id"),
    Index("ix_audit_at", "at", "id"),
    _partial("ix_audit_hour", "user_id", "lead_id", "action", "hour", where=text("hour IS NOT NULL"), unique=True),
    _partial("ix_audit_subject_id", "subject_id", "id", where=text("subject_id IS NOT NULL")),
    sqlite_autoincrement=True,
)

# Repeated literally in queries, like SUSPECT. An alert can be delivered once it is part of a digest, or alone;
# a confirmation unless a cap holds it.
DELIVERABLE = text("state = 'queued' AND (kind <> 'alert' OR digest_id = id) AND held_by IS NULL")
HELD = text("state = 'queued' AND held_by IS NOT NULL")
COUNTED = text("counted_at IS NOT NULL")
UNGROUPED = text("state = 'queued' AND kind = 'alert' AND digest_id IS NULL")
GROUPED = text("digest_id IS NOT NULL")  # otherwise SQLite searches ungrouped alerts among all mails without a digest
SETTLED = text("state IN ('sent', 'suppressed')")
UNSENT = text("state IN ('queued', 'failed')")

outbox_mail = Table(
    "outbox_mail",
    metadata,
    Column("id", Id, primary_key=True),
    Column("lead_id", Id, ForeignKey("lead.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),  # confirmation or alert
    Column("recipient", Text, nullable=False),
    Column("message_id", Text, nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False, default=Now()),
    Column(
        "state",
        String(16),
        CheckConstraint("state IN ('queued', 'sent', 'failed', 'suppressed')", name="state"),
        nullable=False,
        default="queued",
    ),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", UtcDateTime, nullable=False, default=Now()),
    Column("queued_since", UtcDateTime, nullable=False, default=Now()),
    Column("claim", String(32)),
    Column("claimed_by", Text),
    Column("claimed_until", UtcDateTime),
    Column("last_error", Text),
    Column("sent_at", UtcDateTime),
    Column("digest_id", Id, ForeignKey("outbox_mail.id", ondelete="SET NULL")),  # for alerts: the mail that reports it
    # for confirmations: the domain whose cap counts it, its last attempt, and the domain whose cap holds it ('': total)
    Column("capped_domain", Key),
    Column("counted_at", UtcDateTime),
    Column("held_by", Key),
    Column("held_since", UtcDateTime),
    Index("ix_outbox_mail_lead_id", "lead_id"),
    _partial("ix_outbox_mail_digest_id", "digest_id", where=GROUPED),
    _partial("ix_outbox_mail_due", "next_attempt_at", where=DELIVERABLE),
    _partial("ix_outbox_mail_held", "held_by", "held_since", where=HELD),
    _partial("ix_outbox_mail_counted", "counted_at", "capped_domain", where=COUNTED),
    _partial("ix_outbox_mail_ungathered", "recipient", where=UNGROUPED),
    _partial("ix_outbox_mail_settled", "created_at", where=SETTLED),
    _partial("ix_outbox_mail_unsent", "state", "id", where=UNSENT),
    sqlite_autoincrement=True,
)

"""Query plans of all operations, on tables that are large enough for indexes to be used.

SQLite plans without statistics, because the service does not gather any.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, event, text

from intake import audit
from intake.audit import Action, Actor, AuditQuery
from intake.cvs import orphans
from intake.cvs.spool import SpooledUpload
from intake.database import Database, schema
from intake.leads import (
    bulk_changes,
    cv_texts,
    data_subjects,
    erasure,
    history,
    listing,
    manual_leads,
    scans,
    searching,
    submissions,
    suspects,
    words,
)
from intake.leads.bulk_changes import ChangeContext
from intake.leads.data_subjects import DataSubject
from intake.leads.history import ChangeQuery
from intake.leads.listing import LeadQuery
from intake.leads.new_lead import Submission, mailbox_of
from intake.leads.searching import SearchQuery
from intake.mail import admin, confirmation_caps, outbox
from intake.mail.admin import MailQuery
from intake.settings import Settings
from tests.conftest import Databases

LEADS = 40_000
NOW = datetime.now(UTC).replace(microsecond=0)
PARTIAL = {
    index.name
    for table in schema.metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["postgresql"]["where"] is not None
}
# without the tables of one row, and of one row per user or attorney
BIG = set(schema.metadata.tables) - {"user_account", "alerted_address", "installation", "schema_window"}
CHANGE = UUID("00000000-0000-0000-0000-000010010000")
SETTINGS = Settings(attorney_emails=("harriet@firm.example",))
ACTOR = Actor(1, "192.0.2.1", "request")
EXPLAINED = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")


NUMBERS = f"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {LEADS})"
# in most tables one or two rows per lead, a minute apart until now
FILLED = {
    "user_account (id, username, username_key, password_hash, role, disabled, token_generation, created_at)": (
        "n, 'u' || n, 'u' || n, 'hash', 'admin', 1 = 0, 0, {at} FROM t WHERE n < 10"
    ),
    'lead (email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, f_name_key, l_name_key,'
    " last_event_id, external_id, suspect)": (
        "{e}, 'f' || {e}, 'l' || {e}, 'cv.pdf', CASE WHEN n % 100 = 0 THEN 'ENGAGED' ELSE 'PENDING' END, {at}, {at},"
        " {e}, 'f' || {e}, 'l' || {e}, n, 'crm-' || n,"
        " CASE WHEN n % 500 = 1 THEN 'honeypot' END FROM t"
    ),
    "lead_words (lead_id, words, search_truncated, version)": "n, {words}, 1 = 0, 1 FROM t",
    "lead_field (lead_id, key, value, version)": "n, 'phone', '0', '1' FROM t",
    "lead_consent (lead_id, key, text_sha256, language, given_at)": "n, 'privacy', '0', 'en', {at} FROM t",
    "cv (lead_id, size, sha256, detected_type, store_url, store_key)": (
        "n, 5, '0', 'application/pdf', 'file:///x', 'k' || n FROM t"
    ),
    "cv_text (lead_id, state, next_attempt_at)": (
        "n, CASE WHEN n % 100 = 0 THEN 'pending' ELSE 'done' END, {at} FROM t"
    ),
    "cv_deletion (store_key, store_url)": "'gone' || n, 'file:///x' FROM t",
    "cv_content (lead_id, content)": "n, {content} FROM t",
    "submission_key (email_key, key, content_sha256, created_at, lead_id)": "{e}, 'key', '0', {now}, n FROM t",
    "confirmed_mailbox (mailbox_key, lead_id, confirmed_at)": "{e}, n, {at} FROM t",
    "change (id, user_id, at, to_state, count)": (
        "CAST('{zeros}' || (10000000 + n) AS {uuid}), 1, {at}, 'PENDING', 1 FROM t WHERE n % 10 = 0"
    ),
    "lead_event (lead_id, user_id, at, from_state, to_state)": "n, 1 + n % 9, {at}, 'PENDING', 'ENGAGED' FROM t",
    "outbox_mail (lead_id, kind, recipient, message_id, created_at, state, attempts, next_attempt_at, queued_since)": (
        "n, kind, CASE WHEN kind = 'alert' THEN 'harriet@firm.example' ELSE {e} END, kind || n, {at},"
        " CASE n % CASE WHEN kind = 'alert' THEN 200 ELSE 100 END WHEN 0 THEN 'failed' WHEN 1"
        " THEN 'queued' ELSE 'sent' END, 1, {at}, {at}"
        " FROM t, (SELECT 'alert' AS kind UNION SELECT 'confirmation') AS kinds"
    ),
    # mails that a cap holds
    "outbox_mail (lead_id, kind, recipient, message_id, created_at, state, attempts, next_attempt_at, queued_since,"
    " capped_domain, held_by, held_since)": (
        "n, 'confirmation', 'v@victim.example', 'held' || n, {at}, 'queued', 0, {at}, {at}, 'victim.example',"
        " CASE WHEN n % 2 = 0 THEN 'victim.example' ELSE '' END, {now} FROM t WHERE n <= 2000"
    ),
    # mails counted in this hour
    "outbox_mail (lead_id, kind, recipient, message_id, created_at, state, attempts, next_attempt_at, queued_since,"
    " capped_domain, counted_at)": (
        "n, 'confirmation', 'v@victim.example', 'counted' || n, {at}, 'sent', 1, {at}, {at}, 'victim.example', {now}"
        " FROM t WHERE n <= 1000"
    ),
    "audit (at, action, user_id, subject_id, lead_id, client)": (
        "{at}, CASE WHEN n % 100 = 0 THEN 'erasure' ELSE 'login' END, 1 + n % 8,"
        " CASE WHEN n % 500 = 0 THEN 9 END, n, '192.0.2.1' FROM t"
    ),
}
WORDS = {"e": "'email' || n || '@b.example'", "zeros": "0" * 24}
OWN_WORDS = {
    "sqlite": {
        "at": f"strftime('%Y-%m-%d %H:%M:%f000', 'now', (n - {LEADS}) || ' minutes')",
        "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
        "uuid": "TEXT",
        "content": "CAST('a CV' AS BLOB)",
        "words": "' email' || n || ' example b' || (CASE WHEN n % 2 = 0 THEN ' even' ELSE ' odd' END)",
    },
    "postgresql": {
        "at": f"now() + (n - {LEADS}) * interval '1 minute'",
        "now": "now()",
        "uuid": "UUID",
        "content": "'a CV'::bytea",
        "words": (
            "array_to_tsvector(ARRAY['email' || n, 'example', 'b', CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END])"
        ),
    },
}


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    """A database with tables large enough for indexes to be used."""
    opened = Database(Settings(database_url=databases.migrated_url()), connections=1)

    def fill(connection: Connection) -> None:
        words = {**WORDS, **OWN_WORDS[connection.dialect.name]}
        for table, values in FILLED.items():
            connection.execute(text(f"INSERT INTO {table} {NUMBERS} SELECT {values.format(**words)}"))
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))

    opened.write(fill)
    yield opened
    opened.close()


def executed(database: Database, call: Callable[[Database], object]) -> list[tuple[str, Any]]:
    """Return the statements that an operation executes, with their parameters."""
    found: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if EXPLAINED.match(statement):
            found.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    event.listen(database._engine, "before_cursor_execute", note)
    try:
        result = call(database)
        if isinstance(result, Iterator):
            list(result)
    finally:
        event.remove(database._engine, "before_cursor_execute", note)
    return found


def explained(database: Database, statement: str, parameters: Any) -> list[Any]:
    """Return the statement's plan: SQLite's steps, or a list with PostgreSQL's tree."""
    option = "QUERY PLAN" if (is_sqlite := database._engine.dialect.name == "sqlite") else "(FORMAT JSON)"
    rows = database.read(
        lambda connection: connection.exec_driver_sql(f"EXPLAIN {option} {statement}", parameters).all()
    )
    return [row[3] for row in rows] if is_sqlite else [rows[0][0][0]["Plan"]]


def scanned(database: Database, statement: str, parameters: Any) -> set[str]:
    """Return the big tables that the statement's plan scans, completely or up to a limit.

    Scans of partial indexes are allowed, because such an index contains only the wanted rows.
    """
    plan = explained(database, statement, parameters)
    is_postgresql = bool(plan) and isinstance(plan[0], dict)
    return set(scans_of_postgresql(plan[0]) if is_postgresql else scans_of_sqlite(plan)) & BIG


def scans_of_sqlite(plan: list[str]) -> Iterator[str]:
    for step in plan:
        found = re.match(r"(?:SCAN|SEARCH(?=.* AUTOMATIC)) (\w+?)(?:_\d+)?(?:$| USING .*INDEX (\w+))", step)
        if found and found[2] not in PARTIAL:
            yield found[1]


def scans_of_postgresql(node: Mapping[str, Any]) -> Iterator[str]:
    is_whole_index = "Index Cond" not in node and node.get("Index Name") not in PARTIAL
    if node["Node Type"] == "Seq Scan" or (node["Node Type"] in ("Index Scan", "Index Only Scan") and is_whole_index):
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from scans_of_postgresql(child)


def page(query: LeadQuery, limit: int = 50) -> Callable[[Database], object]:
    return lambda database: listing.read_json_page(database, query, limit=limit)


def trail(**wanted: Any) -> Callable[[Database], object]:
    return lambda database: audit.list_entries(database, AuditQuery(limit=50, **wanted))


def listed_changes(**wanted: Any) -> Callable[[Database], object]:
    return lambda database: history.list_changes(database, ChangeQuery(limit=50, **wanted), user_id=9)


def mails(**wanted: Any) -> Callable[[Database], object]:
    return lambda database: admin.list_mails(database, MailQuery(limit=50, **wanted))


def submit(database: Database) -> None:
    with SpooledUpload() as cv:
        sent = submission(cv, "ada@example.com")
        submissions.create_lead(database, SETTINGS, sent, key="key")
        submissions.create_lead(database, SETTINGS, sent, key="key")


def submission(cv: SpooledUpload, email: str) -> Submission:
    cv.write(b"a CV")
    texts = {"email": email, "f_name": "Ada", "l_name": "Lovelace"}
    return submissions.validate_submission(texts, cv_name="cv.pdf", cv=cv, extensions=())


def deliver_mail(database: Database) -> None:
    held = outbox.claim(database, owner="here", limit=8, alert_interval_s=60.0)
    assert len(held) == 8
    outbox.extend_leases(database, held)
    outbox.release(database, held[:1])
    outbox.record_failure(database, held[1], reason="unreachable", delay_s=None)
    for mail in held[2:]:
        outbox.record_sent(database, mail)


def hold_mail(database: Database) -> None:
    held: Counter[str] = Counter()
    # the first due mails are confirmations above the cap: the claim continues with the alerts after them
    for _ in range(2):
        found = outbox.claim(
            database, owner="h", limit=8, alert_interval_s=60.0, confirmations_per_hour=900, on_held=held.update
        )
        assert {mail.kind for mail in found} <= {"alert"}
    assert held["total"] > 300
    confirmation_caps.release(database, per_hour=2000)


def change_and_undo(database: Database) -> None:
    ids, number = list(range(100, 200)), uuid4()
    bulk_changes.change_states(
        database, ids, to="DECLINED", expected="PENDING", context=ChangeContext(change_id=number, user_id=1)
    )
    bulk_changes.undo(
        database, number, after=0, known=SETTINGS.states, context=ChangeContext(change_id=uuid4(), user_id=1)
    )


def repeat_manual_lead(database: Database) -> None:
    with SpooledUpload() as cv:
        sent = submission(cv, "email77@b.example")
        entry = manual_leads.ManualLead(sent, external_id="crm-77", state="PENDING", notify=False)
        assert manual_leads.create_manual_lead(database, SETTINGS, entry, actor=ACTOR) == (77, False)


def collect_orphans(database: Database) -> None:
    with TemporaryDirectory() as folder:
        old = Path(folder) / ("0" * 32)
        old.touch()
        os.utime(old, (0, 0))
        counts = sum(orphans.collect(database, Path(folder).as_uri()), Counter[str]())
        assert counts["trashed"] == 1


RECENTLY = NOW - timedelta(minutes=5)
PERSON = DataSubject.parse("email77@b.example")
BY_INDEX: dict[str, Callable[[Database], object]] = {
    "next page": page(LeadQuery(after=30000)),
    "next page, newest first": page(LeadQuery(after=30000, order="desc")),
    "whole address": page(LeadQuery(email="email77@b.example")),
    "prefix of an address": page(LeadQuery(email="email399*")),
    "first name": page(LeadQuery(f_name="femail77@b.example")),
    "pattern of a first name": page(LeadQuery(f_name="femail5*9@b*")),
    "last name, newest first": page(LeadQuery(l_name="lemail77@b.example", order="desc")),
    "a state": page(LeadQuery(state=["ENGAGED"])),
    "a state without leads": page(LeadQuery(state=["DECLINED"], order="desc")),
    "recent leads": page(LeadQuery(since=RECENTLY)),
    "recent leads, newest first": page(LeadQuery(since=RECENTLY, order="desc")),
    "rare word": page(LeadQuery(q="email1313")),
    "rare word, newest first": page(LeadQuery(q="email1313", order="desc")),
    "rare word and state": page(LeadQuery(q="email1313", state=["ENGAGED"])),
    "common words and a rare one": page(LeadQuery(q="e even email1313")),
    "absent word": page(LeadQuery(q="qqqzzz")),
    "common words and an absent one": page(LeadQuery(q="even qqqzzz b")),
    "a search": lambda d: searching.search(d, SearchQuery(q="email1313"), actor=ACTOR),
    "a search for an absent word": lambda d: searching.search(d, SearchQuery(q="even qqqzzz"), actor=ACTOR),
    "the words of a lead": lambda d: d.write(lambda c: words.index_leads(c, [77])),
    "fields of a page": page(LeadQuery(after=30000, include=["suspect", "fields"])),
    "page of suspect leads of a state": page(LeadQuery(suspect=True, state=["PENDING"])),
    "suspect leads": lambda d: suspects.count_suspects(d, LeadQuery(suspect=False)),
    "suspect leads of a state": lambda d: suspects.count_suspects(d, LeadQuery(suspect=False, state=["PENDING"])),
    "suspect leads with a word": lambda d: suspects.count_suspects(d, LeadQuery(suspect=False, q="even")),
    "a cleared lead": lambda d: suspects.clear(d, SETTINGS, 501, actor=ACTOR),
    "one lead": lambda d: listing.get_lead(d, 77),
    "history": lambda d: history.history(d, 77),
    "next page of changes": listed_changes(before=CHANGE),
    "changes of a user": listed_changes(mine=True),
    "prefix of a change id": listed_changes(id="0000000000000000000000001001"),
    "bulk change and undo": change_and_undo,
    "mails of a lead": mails(lead=77),
    "failed mails": mails(state=["failed"]),
    "queued mails, newest first": mails(state=["queued"], order="desc"),
    "next page of mails": mails(after=60000),
    "unsent mails": admin.count_unsent,
    "age of the oldest mail": admin.oldest_s,
    "pending scans": scans.count_pending,
    "pending texts": cv_texts.count_pending,
    "mail retry": lambda d: admin.retry_mails(d, [100, 200], mailbox_of=partial(mailbox_of, SETTINGS), actor=ACTOR),
    "mail delivery": deliver_mail,
    "held mails": hold_mail,
    "pruned mails": lambda d: outbox.prune(d, age_s=90 * 86_400.0),
    "audit of a user": trail(user="u9"),
    "audit of a user, newest first": trail(user="u9", order="desc"),
    "audit of a lead": trail(lead=77),
    "audit of an action": trail(action=[Action.ERASURE], order="desc"),
    "recent audit": trail(since=RECENTLY),
    "recent audit, newest first": trail(since=RECENTLY, order="desc"),
    "next page of audit": trail(after=30000),
    "range of a CV": lambda d: audit.record_series(d, Action.DOWNLOAD, ACTOR, lead_id=77),
    "recent logins": lambda d: audit.recent_logins(d, within_s=300.0, most=100),
    "a submission": submit,
    "expired keys": submissions.delete_expired_keys,
    "a person": lambda d: data_subjects.find_leads(d, PERSON),
    "erasure preview": lambda d: erasure.preview(d, PERSON, actor=ACTOR),
    "erasure": lambda d: erasure.erase(d, DataSubject.parse("email39999@b.example"), actor=ACTOR),
    "retention": lambda d: erasure.purge(d, [("ENGAGED", 400)]),
    "retention preview": lambda d: erasure.preview_retention(d, [("ENGAGED", 400)]),
    "a scan": scans.claim,
    "a text": cv_texts.claim,
    "repeated manual lead": repeat_manual_lead,
    "orphans": collect_orphans,
}


# scans that begin at the first wanted row and end with the page
SCANS: dict[str, Callable[[Database], object]] = {
    "first page": page(LeadQuery()),
    "newest leads without suspect ones": page(LeadQuery(order="desc", suspect=False)),
    "newest suspect leads": page(LeadQuery(order="desc", suspect=True)),
    "newest leads": page(LeadQuery(order="desc")),
    "older leads": page(LeadQuery(until=RECENTLY)),
    "common words": page(LeadQuery(q="even b.example")),
    "common words, newest first": page(LeadQuery(q="even b.example", order="desc")),
    "a search for common words": lambda d: searching.search(d, SearchQuery(q="even b.example"), actor=ACTOR),
    "initials": page(LeadQuery(q="e e", order="desc")),
    "newest mails": mails(order="desc"),
    "sent mails": mails(state=["sent"]),
    "newest audit": trail(order="desc"),
    "older audit": trail(until=RECENTLY),
    "changes": listed_changes(),
}


# these must use a specific index; a range of ids alone would look indexed too
NEEDED = {"a person": "ix_lead_email_key", "recent leads": "ix_lead_created_at", "recent audit": "ix_audit_at"}


def errors(database: Database, name: str) -> Iterator[str]:
    """Yield the errors in the plans of an operation, which runs without affecting the other operations."""
    statements = executed(database, {**BY_INDEX, **SCANS}[name])
    plans = [str(explained(database, *one)) for one in statements]
    if NEEDED.get(name, "") not in "".join(plans) or not statements:
        yield f"{NEEDED.get(name)} is not used: {plans}"
    for (statement, parameters), plan in zip(statements, plans, strict=True):
        if statement.startswith("SELECT") and "cv_content" in statement:
            yield f"CVs are read: {statement}"
        if name in BY_INDEX and scanned(database, statement, parameters):
            yield f"it scans a table: {statement}: {plan}"
        if name in SCANS and "LIMIT" in statement and re.search("Sort|TEMP B-TREE", plan):
            yield f"it sorts all rows for a page: {statement}: {plan}"


def test_statements_use_indexes_and_scans_end_with_the_page(database: Database) -> None:
    found = {name: list(errors(database, name)) for name in (*BY_INDEX, *SCANS)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}

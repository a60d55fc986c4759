"""Databases filled with many leads, with realistic name frequencies, spread over the last two years.

Both databases get the same leads, each with a small CV, and a confirmation per address. No mail is queued. Each lead is
indexed by the words of its names, or by 300 words, as if those were its CV's.
"""

import hashlib
import io
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice, product
from unicodedata import normalize

import psycopg2

from intake.leads.normalization import normalize_key
from intake.search.tokenizer import VERSION, lead_tokens

PEOPLE = 2_000  # per name, distinguished by a number in the address
SPAN = timedelta(days=730)
STATES = {"PENDING": 20, "REACHED_OUT": 30, "ENGAGED": 10, "DECLINED": 40}
DOMAINS = ("mail.example", "post.example", "inbox.example", "home.example", "office.example")
FIRST = tuple(
    "".join(parts).capitalize() for parts in product("adbejklmnrstv", ("an", "el", "i", "ö", "u"), ("a", "ie", "ne"))
)
LAST = tuple(
    "".join(parts).capitalize()
    for parts in product(
        ("ab", "be", "cho", "da", "es", "fa", "gon", "ha", "iv", "jo", "ko", "li", "mü", "na", "o", "pe", "ro", "sa"),
        ("la", "mi", "no", "ra", "si", "ta", "ve", "dor", "gel", "kin", "lo", "nn", "per", "ry", "sk", "zu"),
        ("d", "er", "ez", "i", "ley", "man", "nd", "ov", "ra", "s", "ser", "sky", "son", "th", "ton", "u", "wa"),
    )
)
SYLLABLES = tuple("".join(parts) for parts in product("bcdfglmnprstvz", "aeiou"))
CV = b"%PDF-1.4\na CV that is not long\n"
COLUMNS = 'email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, f_name_key, l_name_key'
FACTS = (
    "INSERT INTO cv (lead_id, size, sha256, detected_type)"
    f" SELECT id, {len(CV)}, '{hashlib.sha256(CV).hexdigest()}', 'application/pdf' FROM lead"
)
CONTENT = "INSERT INTO cv_content (lead_id, content) SELECT id, "
CONFIRMED = (
    "INSERT INTO confirmed_mailbox (mailbox_key, lead_id, confirmed_at)"
    " SELECT email_key, max(id), max(created_at) FROM lead GROUP BY email_key"
)
PIECE_ROWS = 20_000
CV_WORDS, CV_TEXTS = 300, 500  # words of a text, and different texts
VOCABULARY = 20_000
HALF, ABSENT = "halfling", "absentword"  # words of half of the leads, and of none


def fill(url: str, leads: int, *, cv_words: bool = False) -> None:
    """Insert leads into a migrated, empty database that is not in use."""
    if url.startswith("sqlite"):
        _fill_sqlite(url.removeprefix("sqlite:///"), leads, cv_words=cv_words)
    else:
        _fill_postgresql(url.replace("+psycopg2", ""), leads, cv_words=cv_words)


def _fill_sqlite(file: str, leads: int, *, cv_words: bool) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000"):  # a failure loses everything
            connection.execute(f"PRAGMA {pragma}")
        indexes = "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'lead' AND name LIKE 'ix%'"
        dropped = dict(connection.execute(indexes).fetchall())
        for name in dropped:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO lead ({COLUMNS}) VALUES ({', '.join('?' * 10)})", _rows(leads))
        connection.execute(f"{CONTENT} ? FROM lead", (CV,))
        [trigger] = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'word_index_insert'").fetchone()
        connection.execute("DROP TRIGGER word_index_insert")
        words = ((number, "".join(f" {word}" for word in words)) for number, words in _words(leads, cv_words=cv_words))
        connection.executemany(f"INSERT INTO lead_words VALUES (?, ?, 0, {VERSION})", words)
        connection.execute("INSERT INTO word_index (word_index) VALUES ('rebuild')")
        connection.execute(trigger)
        for statement in (*dropped.values(), FACTS, CONFIRMED):
            connection.execute(statement)
        for ending in ("COMMIT", "ANALYZE", "PRAGMA journal_mode=WAL"):
            connection.execute(ending)


def _fill_postgresql(url: str, leads: int, *, cv_words: bool) -> None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        # foreign keys are valid by construction, and checking each row is slow
        cursor.execute("SET session_replication_role = replica; SET timezone = 'UTC'")
        cursor.execute("SET maintenance_work_mem = '256MB'; SET work_mem = '256MB'")
        where = "(tablename = 'lead' AND indexname LIKE 'ix%') OR indexname = 'word_index'"
        cursor.execute(f"SELECT indexname, indexdef FROM pg_indexes WHERE {where}")
        dropped = dict(cursor.fetchall())
        cursor.execute(f"DROP INDEX {', '.join(dropped)}")
        lines = ("\t".join(row) + "\n" for row in _rows(leads))
        while piece := "".join(islice(lines, PIECE_ROWS)):
            cursor.copy_expert(f"COPY lead ({COLUMNS}) FROM STDIN", io.StringIO(piece))
        words = (f"{n}\t{' '.join(words)}\tfalse\t{VERSION}\n" for n, words in _words(leads, cv_words=cv_words))
        while piece := "".join(islice(words, PIECE_ROWS)):
            cursor.copy_expert("COPY lead_words FROM STDIN", io.StringIO(piece))
        cursor.execute(f"{CONTENT} %s FROM lead", (CV,))
        for statement in (*dropped.values(), FACTS, CONFIRMED):
            cursor.execute(statement)
        connection.commit()
        connection.autocommit = True
        for ending in ("VACUUM ANALYZE", "CHECKPOINT"):
            cursor.execute(ending)


def _rows(leads: int) -> Iterator[tuple[str, ...]]:
    chance = random.Random(1)
    firsts, lasts = (_drawn(chance, [_spellings(name) for name in names], leads) for names in (FIRST, LAST))
    states = chance.choices(list(STATES), [*STATES.values()], k=leads)
    began, each = datetime.now(UTC).replace(tzinfo=None) - SPAN, SPAN / leads
    for number, first, last, state in zip(range(leads), firsts, lasts, states, strict=True):
        email = f"{first[2]}.{last[2]}{number % PEOPLE}@{DOMAINS[number % len(DOMAINS)]}"
        created_at = (began + number * each).isoformat(" ", "microseconds")
        yield email, first[0], last[0], f"{last[0]}.pdf", state, created_at, created_at, email, first[1], last[1]


def _words(leads: int, *, cv_words: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield each lead's id and words; those of a CV are one of some texts with Zipf-like frequencies, and a number."""
    chance = random.Random(2)
    vocabulary = ["".join(parts) for parts in product(SYLLABLES, SYLLABLES, SYLLABLES)][:VOCABULARY]
    chance.shuffle(vocabulary)
    weights = list(accumulate(1 / (rank + 5) for rank in range(VOCABULARY)))
    texts = [chance.choices(vocabulary, cum_weights=weights, k=CV_WORDS) for _ in range(CV_TEXTS if cv_words else 0)]
    for number, row in enumerate(_rows(leads), 1):
        names, _ = lead_tokens((row[1], row[2], row[0]))
        text = [*chance.choice(texts), f"number{number}", *([HALF] if number % 2 else [])] if texts else []
        yield number, list(dict.fromkeys((*names, *text)))


def _drawn(chance: random.Random, names: list[tuple[str, str, str]], count: int) -> list[tuple[str, str, str]]:
    """Draw names by Zipf-like weights: of 5,000, the most common has 1 %, the rarest 0.003 %."""
    chance.shuffle(names)
    return chance.choices(names, cum_weights=list(accumulate(1 / (rank + 15) for rank in range(len(names)))), k=count)


def _spellings(name: str) -> tuple[str, str, str]:
    """Return a name as written, normalized, and in ASCII for an address."""
    key = normalize_key(name)
    return name, key, normalize("NFKD", key).encode("ascii", "ignore").decode()

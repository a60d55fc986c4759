"""The index of the words of leads, in which a query's words are prefixes.

SQLite uses the FTS5 table `word_index`, which triggers update with exactly the words that `lead_words` stores, and
`word_vocab`, the list of its terms. PostgreSQL uses a GIN index on `lead_words`. A migration creates them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, func, literal, select, true, type_coerce
from sqlalchemy.dialects.postgresql import TSQUERY

from intake.database.ids import is_among
from intake.database.schema import lead, lead_words
from intake.database.transactions import insert_if_absent

MAX_PROBED = 2_000  # leads that the index may return; of more, the newest are found sooner by reading leads in order
MIN_PROBED_CHARACTERS = 3  # on PostgreSQL: GIN reads every word with a shorter prefix before it returns a lead
SAMPLED, COMMON = 500, 10  # newest leads, and how many of them have words that are found soon without the index
MIN_EXPANDED_CHARACTERS = 4  # on SQLite: FTS5 has an index of shorter prefixes
MAX_TERMS = 64
_REPLACE = true()
_TERMS = "SELECT term FROM word_vocab WHERE term >= ? AND term < ? LIMIT ?"
_MATCH = "SELECT rowid FROM word_index WHERE word_index MATCH ? LIMIT ?"
_AFTER_LAST = "\U0010ffff"


class Matches(NamedTuple):
    """The condition that a lead matches, and the ids of all leads that do, unless they are more than MAX_PROBED.

    The condition can be stricter than the ids.
    """

    condition: ColumnElement[bool]
    ids: Sequence[int] | None


def find(connection: Connection, prefixes: Sequence[str]) -> Matches:
    """Find the leads that have a word with each of the prefixes."""
    is_sqlite = connection.dialect.name == "sqlite"
    ids = (_probe_sqlite if is_sqlite else _probe_postgresql)(connection, prefixes)
    condition = (_has_words_on_sqlite if is_sqlite else _has_words_on_postgresql)(prefixes)
    return Matches(condition if ids is None else and_(is_among(lead.c.id, ids), condition), ids)


def replace_words(connection: Connection, row: dict[str, Any]) -> None:
    """Insert or replace the row of `lead_words` of a lead, which must exist."""
    insert_if_absent(connection, lead_words, row, replacing=_REPLACE)


def is_described(name: str | None, kind: str, _parents: Any) -> bool:
    """Return whether the schema in code describes an object: alembic's `include_name`."""
    return name is None or not name.startswith("word_") or kind not in ("table", "index")


def _probe_sqlite(connection: Connection, prefixes: Sequence[str]) -> Sequence[int] | None:
    terms = [_terms(connection, prefix) for prefix in prefixes]
    if not all(terms):
        return []
    found = connection.exec_driver_sql(_MATCH, (" AND ".join(terms), MAX_PROBED + 1)).scalars().all()
    return found if len(found) <= MAX_PROBED else None


def _terms(connection: Connection, prefix: str) -> str:
    """Return the FTS5 expression for a prefix; it is empty if no word has the prefix."""
    if len(prefix) >= MIN_EXPANDED_CHARACTERS:
        terms = connection.exec_driver_sql(_TERMS, (prefix, prefix + _AFTER_LAST, MAX_TERMS + 1)).scalars().all()
        if len(terms) <= MAX_TERMS:
            return "" if not terms else "(" + " OR ".join([f'"{term}"' for term in terms]) + ")"
    return f'"{prefix}" *'


def _probe_postgresql(connection: Connection, prefixes: Sequence[str]) -> Sequence[int] | None:
    # a character of Han or kana is as rare as several letters
    probed = [one for one in prefixes if len(one) >= MIN_PROBED_CHARACTERS or one >= "\u2e80"]
    if not probed and _is_common(connection, prefixes):
        return None
    matches = lead_words.c.words.op("@@", is_comparison=True)(_tsquery(probed or prefixes))
    found = connection.scalars(select(lead_words.c.lead_id).where(matches).limit(MAX_PROBED + 1)).all()
    return found if len(found) <= MAX_PROBED else None


def _is_common(connection: Connection, prefixes: Sequence[str]) -> bool:
    newest = select(lead_words.c.words).order_by(lead_words.c.lead_id.desc()).limit(SAMPLED).subquery()
    matches = func.ts_match_vq(newest.c.words, _tsquery(prefixes))
    return int(connection.execute(select(func.count()).where(matches)).scalar_one()) >= COMMON


def _tsquery(prefixes: Sequence[str]) -> ColumnElement[Any]:
    # to_tsquery() would split and stem the words
    return cast(literal(" & ".join(f"'{prefix}':*" for prefix in prefixes), Text), TSQUERY)


def _has_words_on_postgresql(prefixes: Sequence[str]) -> ColumnElement[bool]:
    # a subquery of one row, and a function instead of the operator, so that leads are read in the order of the page
    matches = select(func.ts_match_vq(lead_words.c.words, _tsquery(prefixes)))
    return matches.where(lead_words.c.lead_id == lead.c.id).scalar_subquery()


def _has_words_on_sqlite(prefixes: Sequence[str]) -> ColumnElement[bool]:
    words = type_coerce(lead_words.c.words, Text)
    has_all = and_(*(func.instr(words, f" {prefix}") > 0 for prefix in prefixes))
    return select(has_all).where(lead_words.c.lead_id == lead.c.id).scalar_subquery()

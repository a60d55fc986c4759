"""Leads as they are found: filters, and pages by key, so that the last page costs what the first does."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Select, and_, func, literal, select

from intake.cvs import store
from intake.cvs.store import ObjectRef
from intake.database import Database
from intake.database.cv_blobs import read_content
from intake.database.ids import is_among, page_by_id, within
from intake.database.json_rows import JsonChunk, JsonRowSerializer, Rows
from intake.database.schema import cv, lead
from intake.database.substring_search import (
    LIKE_ESCAPE,
    has_own_index,
    has_part,
    has_rare_trigram,
    ids_with_part,
    like_literal,
)
from intake.errors import ChecksumMismatch, LeadNotFound
from intake.leads.models import LEAD_COLUMNS, CvFacts, Lead, ScanState
from intake.leads.normalization import Pattern, normalize_key

FIRST_CHUNK_ROWS = 250  # who reads slowly, or goes away, has had little work done for it
CHUNK_ROWS = 2_000  # with more, a long list is no faster
NEAR_ROWS = 4  # for each row of a chunk: where that many hold it, a part is common, and no index finds it sooner
FOUND_ROWS = 2_000  # with a part that more have, other filters narrow as well as it does
log = logging.getLogger("intake.leads")
_NAMES = tuple(str(column.name) for column in LEAD_COLUMNS)  # plain text, which SQLAlchemy's names are not quite

_CV_COLUMNS = (
    *(cv.c.size, cv.c.sha256, cv.c.detected_type, cv.c.flags),
    *(cv.c.scan_state, cv.c.signature, cv.c.store_url, cv.c.store_key),
)


@dataclass(frozen=True, kw_only=True)
class LeadFilter:
    """Which leads, and in which order; what is None or empty does not narrow.

    `email`, `f_name` and `l_name` are read as Pattern reads them; `q` is a part of any of the three; `since` is
    included and `until` is not; `after` is the id from which to go on, downward where `newest_first`.
    """

    email: str | None = None
    f_name: str | None = None
    l_name: str | None = None
    states: Sequence[str] = ()
    q: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    newest_first: bool = False

    @property
    def is_by_part_alone(self) -> bool:
        """Whether nothing but `q` narrows."""
        others = self.email, self.f_name, self.l_name, self.since, self.until
        return not self.states and all(one is None for one in others)


def stream_json(database: Database, wanted: LeadFilter) -> Iterator[bytes]:
    """Yield the leads that match, by id, as a JSON array in pieces; its `]` comes only after all of them.

    Each piece is of twice as many leads as the one before, and read in a transaction of its own: a slow reader holds
    no connection, and nothing but the piece. Raises DatabaseUnavailable.
    """
    size, after, has_more, before = min(FIRST_CHUNK_ROWS, CHUNK_ROWS), wanted.after, True, b"["
    while has_more:
        piece, after, has_more = _chunk(database, wanted, after=after, size=size)
        if piece:
            piece = before + piece
            yield piece
            before = b","
        size = min(2 * size, CHUNK_ROWS)
    yield b"[]" if before == b"[" else b"]"


def read_json_page(database: Database, wanted: LeadFilter, *, limit: int) -> tuple[bytes, int | None]:
    """Return up to `limit` leads that match, by id, as a JSON array, and the id to go on from (None: no more match).

    Raises DatabaseUnavailable.
    """
    objects, last_id, has_more = _chunk(database, wanted, after=wanted.after, size=limit)
    return b"[" + objects + b"]", last_id if has_more else None


def get_lead(database: Database, lead_id: int) -> tuple[Lead, CvFacts]:
    """Return the lead and what is known of its CV. Raises LeadNotFound or DatabaseUnavailable."""
    query = select(*LEAD_COLUMNS, *_CV_COLUMNS).join(cv, cv.c.lead_id == lead.c.id).where(lead.c.id == lead_id)
    row = database.read(lambda connection: connection.execute(query).mappings().first())
    if row is None:
        raise LeadNotFound(f"there is no lead {lead_id}")
    return _lead(row), _cv_facts(row)


def read_cv(database: Database, lead_id: int, facts: CvFacts, span: range | None = None) -> Iterator[bytes]:
    """Yield the CV's bytes, or those at the offsets in `span`; a slow reader holds nothing between two pieces.

    The last piece of the whole comes only where all of them have the SHA-256 that was written down when they came in;
    a part can't be checked. Raises LeadNotFound where the lead goes away, CvDamaged, StorageUnavailable or
    DatabaseUnavailable.
    """
    whole = range(facts.size)
    span = whole if span is None else span
    digest, offset = hashlib.sha256(), span.start
    while offset < span.stop:
        piece = _piece(database, lead_id, facts, offset, span.stop)
        digest.update(piece)
        offset += len(piece)
        if span == whole and offset >= facts.size and digest.hexdigest() != facts.sha256:
            log.error("the CV of lead %d is not what came in: its SHA-256 is another", lead_id)
            raise ChecksumMismatch(f"the CV of lead {lead_id} is damaged: its SHA-256 is not the one it came in with")
        yield piece


def _piece(database: Database, lead_id: int, facts: CvFacts, offset: int, stop: int) -> bytes:
    if facts.place is not None:
        return store.read(facts.place, offset=offset, size=stop)
    piece = database.read(lambda connection: read_content(connection, lead_id, offset=offset))
    if not piece:
        raise LeadNotFound(f"lead {lead_id} was deleted while its CV was read")
    return piece[: stop - offset]


def _chunk(database: Database, wanted: LeadFilter, *, after: int | None, size: int) -> JsonChunk:
    def read(connection: Connection) -> JsonChunk:
        if wanted.q and has_own_index(connection, normalize_key(wanted.q)):
            return _chunk_by_part(connection, wanted, normalize_key(wanted.q), after=after, size=size)
        return _LISTED.read(connection, list_query(wanted, after=after, size=size + 1), most=size)

    return database.read(read)


def _chunk_by_part(connection: Connection, wanted: LeadFilter, part: str, *, after: int | None, size: int) -> JsonChunk:
    query = list_query(wanted, after=after, size=size + 1)
    if (is_rare := has_rare_trigram(connection, part)) is not None:
        return _LISTED.read(connection, query.where(is_rare), most=size)
    is_near = _is_near(after, size * NEAR_ROWS, newest_first=wanted.newest_first)
    if (near := _LISTED.read(connection, query.where(is_near), most=size)).has_more:
        return near
    most = size + 1 if wanted.is_by_part_alone else max(size + 1, FOUND_ROWS)
    ids = ids_with_part(connection, part, after=after, newest_first=wanted.newest_first, limit=most)
    if len(ids) < most or wanted.is_by_part_alone:
        query = query.where(is_among(lead.c.id, ids))
    return _LISTED.read(connection, query, most=size)


def _is_near(after: int | None, reach: int, *, newest_first: bool) -> ColumnElement[bool]:
    """Return the condition that a lead's id is among the `reach` that come next."""
    if newest_first:
        newest = select(func.max(lead.c.id)).scalar_subquery()
        return lead.c.id > (newest if after is None else literal(after)) - reach
    oldest = select(func.min(lead.c.id)).scalar_subquery()
    return lead.c.id < (oldest if after is None else literal(after)) + reach


def _shaped(rows: Rows) -> Sequence[Lead]:
    return [
        {"id": n, "email": email, "f_name": f_name, "l_name": l_name, "CV_name": cv, "state": state, "created_at": at}
        for n, email, f_name, l_name, cv, state, at in rows
    ]


_LISTED = JsonRowSerializer(LEAD_COLUMNS, _shaped)


def list_query(wanted: LeadFilter, *, after: int | None, size: int) -> Select[tuple[object, ...]]:
    """Return the statement that reads one chunk."""
    bounds = within(
        lead.c.id,
        lead.c.created_at,
        since=wanted.since,
        until=wanted.until,
        after=after,
        newest_first=wanted.newest_first,
    )
    query = select(*LEAD_COLUMNS).where(*_conditions(wanted), *bounds)
    return page_by_id(query, lead.c.id, after=after, newest_first=wanted.newest_first, limit=size)


def _conditions(wanted: LeadFilter) -> Iterator[ColumnElement[bool]]:
    for column, text in (
        (lead.c.email_key, wanted.email),
        (lead.c.f_name_key, wanted.f_name),
        (lead.c.l_name_key, wanted.l_name),
    ):
        if text is not None:
            yield _matches(column, Pattern.parse(text))
    if wanted.states:
        # SQLAlchemy spells a list out anew each time
        is_one = len(wanted.states) == 1
        yield lead.c.state == wanted.states[0] if is_one else lead.c.state.in_(wanted.states)
    if wanted.q:
        yield has_part(normalize_key(wanted.q))


def _matches(column: Column[str], pattern: Pattern) -> ColumnElement[bool]:
    if pattern.is_whole:
        return column == pattern.prefix
    # a range uses the index on both databases, LIKE on neither
    conditions = [column >= pattern.prefix] if pattern.prefix else []
    if (end := _after_prefix(pattern.prefix)) is not None:
        conditions.append(column < end)
    if not pattern.is_prefix:
        like = "%".join(map(like_literal, pattern.literals))
        conditions.append(column.like(like, escape=LIKE_ESCAPE))
    return and_(True, *conditions)


def _after_prefix(prefix: str) -> str | None:
    """Return the least text, by code point, that is past everything that begins with `prefix`; None: there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)  # surrogates are no characters


def _cv_facts(row: RowMapping) -> CvFacts:
    return CvFacts(
        name=row["CV_name"],
        size=row["size"],
        sha256=row["sha256"],
        detected_type=row["detected_type"],
        flags=tuple(filter(None, row["flags"].split(","))),
        scan_state=ScanState(row["scan_state"]),
        signature=row["signature"],
        place=ObjectRef(row["store_url"], row["store_key"]) if row["store_key"] is not None else None,
    )


def _lead(row: RowMapping) -> Lead:
    return cast("Lead", {name: row[name] for name in _NAMES})

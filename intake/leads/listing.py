"""Leads as they are found: filters, and pages by key, so that the last page costs what the first does."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Column, ColumnElement, Connection, Select, and_, func, literal, select

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
from intake.leads.models import LEAD_COLUMNS, CvModel, LeadWithCv
from intake.leads.normalization import Pattern, normalize_key
from intake.request_models import MAX_ID, FilterText, Number, RequestModel, Timestamp

FIRST_CHUNK_ROWS = 250  # who reads slowly, or goes away, has had little work done for it
CHUNK_ROWS = 2_000  # with more, a long list is no faster
NEAR_ROWS = 4  # for each row of a chunk: where that many hold it, a part is common, and no index finds it sooner
FOUND_ROWS = 2_000  # with a part that more have, other filters narrow as well as it does
log = logging.getLogger("intake.leads")

_CV_COLUMNS = (
    *(cv.c.size, cv.c.sha256, cv.c.detected_type, cv.c.flags),
    *(cv.c.scan_state, cv.c.signature, cv.c.store_url, cv.c.store_key),
)


class LeadQuery(RequestModel):
    """The list's filters."""

    email: FilterText | None = Field(
        default=None, description="The whole address; * stands for anything, \\* for a star."
    )
    f_name: FilterText | None = Field(default=None, description="The whole first name, likewise.")
    l_name: FilterText | None = Field(default=None, description="The whole last name, likewise.")
    state: list[str] = Field(default=[], description="A state; may repeat.")
    q: FilterText | None = Field(default=None, description="A part of the address or of either name.")
    since: Timestamp | None = Field(default=None, description="Received at this moment (RFC 3339) or later.")
    until: Timestamp | None = Field(default=None, description="Received before this moment.")
    limit: Annotated[Number, Field(ge=1, le=1000)] | None = Field(default=None, description="A page of so many.")
    after: Annotated[Number, Field(ge=0, le=MAX_ID)] | None = Field(default=None, description="Go on after this id.")
    order: Literal["asc", "desc"] = Field(default="asc", description="By id: oldest or newest first.")

    @property
    def newest_first(self) -> bool:
        """Whether ids go down."""
        return self.order == "desc"

    @property
    def is_substring_only(self) -> bool:
        """Whether `q` is the only filter."""
        others = self.email, self.f_name, self.l_name, self.since, self.until
        return not self.state and all(value is None for value in others)


def stream_json(database: Database, query: LeadQuery) -> Iterator[bytes]:
    """Yield the leads that match, by id, as a JSON array in pieces; its `]` comes only after all of them.

    Each piece is of twice as many leads as the one before, and read in a transaction of its own: a slow reader holds
    no connection, and nothing but the piece. Raises DatabaseUnavailable.
    """
    size, after, has_more, before = min(FIRST_CHUNK_ROWS, CHUNK_ROWS), query.after, True, b"["
    while has_more:
        piece, after, has_more = _chunk(database, query, after=after, size=size)
        if piece:
            piece = before + piece
            yield piece
            before = b","
        size = min(2 * size, CHUNK_ROWS)
    yield b"[]" if before == b"[" else b"]"


def read_json_page(database: Database, query: LeadQuery, *, limit: int) -> tuple[bytes, int | None]:
    """Return up to `limit` leads that match, by id, as a JSON array, and the id to go on from (None: no more match).

    Raises DatabaseUnavailable.
    """
    objects, last_id, has_more = _chunk(database, query, after=query.after, size=limit)
    return b"[" + objects + b"]", last_id if has_more else None


def get_lead(database: Database, lead_id: int) -> LeadWithCv:
    """Return the lead and what is known of its CV. Raises LeadNotFound or DatabaseUnavailable."""
    statement = select(*LEAD_COLUMNS, *_CV_COLUMNS).join(cv, cv.c.lead_id == lead.c.id).where(lead.c.id == lead_id)
    row = database.read(lambda connection: connection.execute(statement).mappings().first())
    if row is None:
        raise LeadNotFound(f"there is no lead {lead_id}")
    ref = ObjectRef(row["store_url"], row["store_key"]) if row["store_key"] is not None else None
    return LeadWithCv(**row, CV=CvModel(**row, name=row["CV_name"], object_ref=ref))


def read_cv(database: Database, found: LeadWithCv, span: range | None = None) -> Iterator[bytes]:
    """Yield the CV's bytes, or those at the offsets in `span`; a slow reader holds nothing between two pieces.

    The last piece of the whole comes only where all of them have the SHA-256 that was written down when they came in;
    a part can't be checked. Raises LeadNotFound where the lead goes away, CvDamaged, StorageUnavailable or
    DatabaseUnavailable.
    """
    whole = range(found.CV.size)
    span = whole if span is None else span
    digest, offset = hashlib.sha256(), span.start
    while offset < span.stop:
        piece = _piece(database, found, offset, span.stop)
        digest.update(piece)
        offset += len(piece)
        if span == whole and offset >= found.CV.size and digest.hexdigest() != found.CV.sha256:
            log.error("the CV of lead %d is not what came in: its SHA-256 is another", found.id)
            raise ChecksumMismatch(f"the CV of lead {found.id} is damaged: its SHA-256 is not the one it came in with")
        yield piece


def _piece(database: Database, found: LeadWithCv, offset: int, stop: int) -> bytes:
    if found.CV.object_ref is not None:
        return store.read(found.CV.object_ref, offset=offset, size=stop)
    piece = database.read(lambda connection: read_content(connection, found.id, offset=offset))
    if not piece:
        raise LeadNotFound(f"lead {found.id} was deleted while its CV was read")
    return piece[: stop - offset]


def _chunk(database: Database, query: LeadQuery, *, after: int | None, size: int) -> JsonChunk:
    def read(connection: Connection) -> JsonChunk:
        if query.q and has_own_index(connection, normalize_key(query.q)):
            return _chunk_by_part(connection, query, normalize_key(query.q), after=after, size=size)
        return _LISTED.read(connection, list_statement(query, after=after, size=size + 1), most=size)

    return database.read(read)


def _chunk_by_part(connection: Connection, query: LeadQuery, part: str, *, after: int | None, size: int) -> JsonChunk:
    statement = list_statement(query, after=after, size=size + 1)
    if (is_rare := has_rare_trigram(connection, part)) is not None:
        return _LISTED.read(connection, statement.where(is_rare), most=size)
    is_near = _is_near(after, size * NEAR_ROWS, newest_first=query.newest_first)
    if (near := _LISTED.read(connection, statement.where(is_near), most=size)).has_more:
        return near
    most = size + 1 if query.is_substring_only else max(size + 1, FOUND_ROWS)
    ids = ids_with_part(connection, part, after=after, newest_first=query.newest_first, limit=most)
    if len(ids) < most or query.is_substring_only:
        statement = statement.where(is_among(lead.c.id, ids))
    return _LISTED.read(connection, statement, most=size)


def _is_near(after: int | None, reach: int, *, newest_first: bool) -> ColumnElement[bool]:
    """Return the condition that a lead's id is among the `reach` that come next."""
    if newest_first:
        newest = select(func.max(lead.c.id)).scalar_subquery()
        return lead.c.id > (newest if after is None else literal(after)) - reach
    oldest = select(func.min(lead.c.id)).scalar_subquery()
    return lead.c.id < (oldest if after is None else literal(after)) + reach


def _shaped(rows: Rows) -> Sequence[dict[str, Any]]:
    return [
        {"id": n, "email": email, "f_name": f_name, "l_name": l_name, "CV_name": cv, "state": state, "created_at": at}
        for n, email, f_name, l_name, cv, state, at in rows
    ]


_LISTED = JsonRowSerializer(LEAD_COLUMNS, _shaped)


def list_statement(query: LeadQuery, *, after: int | None, size: int) -> Select[tuple[object, ...]]:
    """Return the statement that reads one chunk."""
    bounds = within(
        lead.c.id,
        lead.c.created_at,
        since=query.since,
        until=query.until,
        after=after,
        newest_first=query.newest_first,
    )
    statement = select(*LEAD_COLUMNS).where(*_conditions(query), *bounds)
    return page_by_id(statement, lead.c.id, after=after, newest_first=query.newest_first, limit=size)


def _conditions(query: LeadQuery) -> Iterator[ColumnElement[bool]]:
    for column, text in (
        (lead.c.email_key, query.email),
        (lead.c.f_name_key, query.f_name),
        (lead.c.l_name_key, query.l_name),
    ):
        if text is not None:
            yield _matches(column, Pattern.parse(text))
    if query.state:
        # SQLAlchemy spells a list out anew each time
        is_one = len(query.state) == 1
        yield lead.c.state == query.state[0] if is_one else lead.c.state.in_(query.state)
    if query.q:
        yield has_part(normalize_key(query.q))


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

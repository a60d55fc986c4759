"""List of leads: filters, pages by id (the last page costs as much as the first), and streaming."""

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
    ids_with_part,
    like_literal,
    rare_trigram_condition,
)
from intake.errors import ChecksumMismatch, LeadNotFound
from intake.leads.models import LEAD_COLUMNS, CvModel, LeadWithCv
from intake.leads.normalization import Pattern, normalize_key
from intake.request_models import MAX_ID, FilterText, Number, RequestModel, Timestamp

FIRST_CHUNK_ROWS = 250  # small: a client that reads slowly or disconnects costs little
CHUNK_ROWS = 2_000  # larger chunks don't make long lists faster
SCANNED_ROWS = 4  # for each row of a chunk, read without the index first: common substrings are found sooner so
MAX_SUBSTRING_IDS = 2_000  # with more matches in the index, the query's other filters are used instead
log = logging.getLogger("intake.leads")

_CV_COLUMNS = (
    *(cv.c.size, cv.c.sha256, cv.c.detected_type, cv.c.flags),
    *(cv.c.scan_state, cv.c.signature, cv.c.store_url, cv.c.store_key),
)


class LeadQuery(RequestModel):
    """Filters and page of leads."""

    email: FilterText | None = Field(
        default=None, description="Email address; exact match, `*` is a wildcard, `\\*` a star."
    )
    f_name: FilterText | None = Field(default=None, description="First name; exact match, `*` is a wildcard.")
    l_name: FilterText | None = Field(default=None, description="Last name; exact match, `*` is a wildcard.")
    state: list[str] = Field(default=[], description="State; may repeat.")
    q: FilterText | None = Field(default=None, description="Substring of the address or of either name.")
    since: Timestamp | None = Field(default=None, description="Earliest time of receipt (RFC 3339), inclusive.")
    until: Timestamp | None = Field(default=None, description="Latest time of receipt, exclusive.")
    limit: Annotated[Number, Field(ge=1, le=1000)] | None = Field(default=None, description="Page size.")
    after: Annotated[Number, Field(ge=0, le=MAX_ID)] | None = Field(default=None, description="Continue after this id.")
    order: Literal["asc", "desc"] = Field(default="asc", description="By id: oldest or newest first.")

    @property
    def newest_first(self) -> bool:
        """Whether ids descend."""
        return self.order == "desc"

    @property
    def is_substring_only(self) -> bool:
        """Whether `q` is the only filter."""
        others = self.email, self.f_name, self.l_name, self.since, self.until
        return not self.state and all(value is None for value in others)


def stream_json(database: Database, query: LeadQuery) -> Iterator[bytes]:
    """Yield the matching leads, by id, as chunks of a JSON array, which is closed only after the last lead.

    Chunks double in size. Each is read in its own transaction, so that a slow client occupies no connection and only
    one chunk of memory. Raises DatabaseUnavailable.
    """
    size, after, has_more, separator = min(FIRST_CHUNK_ROWS, CHUNK_ROWS), query.after, True, b"["
    while has_more:
        objects, after, has_more = _chunk(database, query, after=after, size=size)
        if objects:
            objects = separator + objects
            yield objects
            separator = b","
        size = min(2 * size, CHUNK_ROWS)
    yield b"[]" if separator == b"[" else b"]"


def read_json_page(database: Database, query: LeadQuery, *, limit: int) -> tuple[bytes, int | None]:
    """Return up to `limit` matching leads, by id, as a JSON array, and the next `after` (None at the end).

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
    """Yield chunks of the CV, or of the offsets in `span`; nothing is locked between two chunks.

    The last chunk of a whole CV is yielded only if its SHA-256 matches the one from the upload; ranges can't be
    checked. Raises LeadNotFound if the lead is deleted meanwhile, ChecksumMismatch, StorageUnavailable or
    DatabaseUnavailable.
    """
    whole = range(found.CV.size)
    span = whole if span is None else span
    digest, offset = hashlib.sha256(), span.start
    while offset < span.stop:
        chunk = _cv_chunk(database, found, offset, span.stop)
        digest.update(chunk)
        offset += len(chunk)
        if span == whole and offset >= found.CV.size and digest.hexdigest() != found.CV.sha256:
            log.error("the CV of lead %d is damaged: its SHA-256 does not match the upload", found.id)
            raise ChecksumMismatch(f"the CV of lead {found.id} is damaged: its SHA-256 does not match the upload")
        yield chunk


def _cv_chunk(database: Database, found: LeadWithCv, offset: int, stop: int) -> bytes:
    if found.CV.object_ref is not None:
        return store.read(found.CV.object_ref, offset=offset, size=stop)
    chunk = database.read(lambda connection: read_content(connection, found.id, offset=offset))
    if not chunk:
        raise LeadNotFound(f"lead {found.id} was deleted during the download")
    return chunk[: stop - offset]


def _chunk(database: Database, query: LeadQuery, *, after: int | None, size: int) -> JsonChunk:
    def read(connection: Connection) -> JsonChunk:
        if query.q and has_own_index(connection, normalize_key(query.q)):
            return _substring_chunk(connection, query, normalize_key(query.q), after=after, size=size)
        return _SERIALIZER.read(connection, list_statement(query, after=after, size=size + 1), limit=size)

    return database.read(read)


def _substring_chunk(
    connection: Connection, query: LeadQuery, substring: str, *, after: int | None, size: int
) -> JsonChunk:
    statement = list_statement(query, after=after, size=size + 1)
    if (condition := rare_trigram_condition(connection, substring)) is not None:
        return _SERIALIZER.read(connection, statement.where(condition), limit=size)
    is_next = _is_next(after, size * SCANNED_ROWS, newest_first=query.newest_first)
    if (chunk := _SERIALIZER.read(connection, statement.where(is_next), limit=size)).has_more:
        return chunk
    limit = size + 1 if query.is_substring_only else max(size + 1, MAX_SUBSTRING_IDS)
    ids = ids_with_part(connection, substring, after=after, newest_first=query.newest_first, limit=limit)
    if len(ids) < limit or query.is_substring_only:
        statement = statement.where(is_among(lead.c.id, ids))
    return _SERIALIZER.read(connection, statement, limit=size)


def _is_next(after: int | None, count: int, *, newest_first: bool) -> ColumnElement[bool]:
    """Return the condition that a lead's id is within the next `count` ids."""
    if newest_first:
        newest = select(func.max(lead.c.id)).scalar_subquery()
        return lead.c.id > (newest if after is None else literal(after)) - count
    oldest = select(func.min(lead.c.id)).scalar_subquery()
    return lead.c.id < (oldest if after is None else literal(after)) + count


def _to_dicts(rows: Rows) -> Sequence[dict[str, Any]]:
    # a literal for each row: dict(zip()) and models take half as long again, or more
    return [
        {"id": n, "email": email, "f_name": f_name, "l_name": l_name, "CV_name": cv, "state": state, "created_at": at}
        for n, email, f_name, l_name, cv, state, at in rows
    ]


_SERIALIZER = JsonRowSerializer(LEAD_COLUMNS, _to_dicts)


def list_statement(query: LeadQuery, *, after: int | None, size: int) -> Select[tuple[object, ...]]:
    """Return the statement for one chunk."""
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
        # SQLAlchemy compiles a list anew each time
        is_single = len(query.state) == 1
        yield lead.c.state == query.state[0] if is_single else lead.c.state.in_(query.state)
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
    """Return the least text, by code point, above all texts with the prefix, or None."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)  # skip the surrogates

"""List of leads: filters, pages by id (the last page costs as much as the first), and streaming."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Column, ColumnElement, Connection, Select, TextClause, and_, select

from intake.cvs import store
from intake.cvs.store import ObjectRef
from intake.database import Database, word_index
from intake.database.cv_blobs import read_content
from intake.database.ids import page_by_id, within
from intake.database.json_rows import FieldValues, JsonChunk, JsonRowSerializer, NamedColumn, Rows
from intake.database.schema import cv, lead
from intake.errors import ChecksumMismatch, LeadNotFound, SearchTimeout, StatementTimeout
from intake.leads import fields
from intake.leads.models import LEAD_COLUMNS, CvModel, LeadModel, LeadWithCv, SuspectFilter, suspect_conditions
from intake.leads.normalization import Pattern
from intake.request_models import MAX_ID, FilterText, Number, RequestModel, Timestamp
from intake.search.queries import DESCRIPTION, SearchText
from intake.search.tokenizer import query_tokens

FIRST_CHUNK_ROWS = 250  # small: a client that reads slowly or disconnects costs little
CHUNK_ROWS = 2_000  # larger chunks don't make long lists faster
# a lead's own fields can have 200 KB: 32 of them after the last of these bytes fit into 8 MiB, the client's limit
ROWS_WITH_FIELDS, MAX_BYTES_WITH_FIELDS = 32, 2**20
LIKE_ESCAPE = "\\"
log = logging.getLogger("intake.leads")

_CV_COLUMNS = (
    *(cv.c.size, cv.c.sha256, cv.c.detected_type, cv.c.flags),
    *(cv.c.scan_state, cv.c.signature, cv.c.store_url, cv.c.store_key),
)


class LeadFilters(RequestModel):
    """Filters and page of leads."""

    email: FilterText | None = Field(
        default=None, description="Email address; exact match, `*` is a wildcard, `\\*` a star."
    )
    f_name: FilterText | None = Field(default=None, description="First name; exact match, `*` is a wildcard.")
    l_name: FilterText | None = Field(default=None, description="Last name; exact match, `*` is a wildcard.")
    state: list[str] = Field(default=[], description="State; may repeat.")
    q: SearchText | None = Field(default=None, description=DESCRIPTION)
    suspect: SuspectFilter = None
    since: Timestamp | None = Field(default=None, description="Earliest time of receipt (RFC 3339), inclusive.")
    until: Timestamp | None = Field(default=None, description="Latest time of receipt, exclusive.")
    limit: Annotated[Number, Field(ge=1, le=1000)] | None = Field(default=None, description="Page size.")
    after: Annotated[Number, Field(ge=0, le=MAX_ID)] | None = Field(default=None, description="Continue after this id.")
    order: Literal["asc", "desc"] = Field(default="asc", description="By id: oldest or newest first.")

    @property
    def newest_first(self) -> bool:
        """Whether ids descend."""
        return self.order == "desc"


class LeadQuery(LeadFilters):
    """Filters, page and fields of the list."""

    include: list[Literal["suspect", "fields"]] = Field(
        default=[], description="More fields of each lead: `suspect`, `fields`; may repeat."
    )


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
    columns = *LEAD_COLUMNS, lead.c.suspect, lead.c.language, *_CV_COLUMNS
    statement = select(*columns).join(cv, cv.c.lead_id == lead.c.id).where(lead.c.id == lead_id)

    def read(connection: Connection) -> LeadWithCv:
        if (row := connection.execute(statement).mappings().first()) is None:
            raise LeadNotFound(f"there is no lead {lead_id}")
        ref = ObjectRef(row["store_url"], row["store_key"]) if row["store_key"] is not None else None
        return LeadWithCv(
            **row,
            CV=CvModel(**row, name=row["CV_name"], object_ref=ref),
            fields=fields.read_values(connection, lead_id),
            consents=fields.read_consents(connection, lead_id),
        )

    return database.read(read)


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
    """Read up to `size` leads; fewer if they have long fields, so that memory is bounded."""
    if "fields" not in query.include:
        return _read(database, query, after=after, size=size)
    pieces: list[bytes] = []
    last, has_more = after, True
    while has_more and size > 0 and sum(map(len, pieces)) < MAX_BYTES_WITH_FIELDS:
        objects, last_id, has_more = _read(database, query, after=last, size=min(size, ROWS_WITH_FIELDS))
        pieces += [objects] if objects else []
        last, size = last_id or last, size - ROWS_WITH_FIELDS
    return JsonChunk(b",".join(pieces), last, has_more)


def _read(database: Database, query: LeadQuery, *, after: int | None, size: int) -> JsonChunk:
    def read(connection: Connection) -> JsonChunk:
        statement = list_statement(query, after=after, size=size + 1)
        if query.q:
            statement = statement.where(word_index.find(connection, query_tokens(query.q)).condition)
        return _serializer(frozenset(query.include)).read(connection, statement, limit=size)

    with search_timeout(query):
        return database.read(read)


@contextmanager
def search_timeout(query: LeadFilters) -> Iterator[None]:
    """Raise SearchTimeout if a search by words takes too long, because no index helps with common words."""
    try:
        yield
    except StatementTimeout as error:
        if not query.q:
            raise
        raise SearchTimeout("the search takes too long; add a rarer word, or a filter such as since") from error


def _to_dicts(rows: Rows) -> Sequence[dict[str, Any]]:
    # a literal for each row: dict(zip()) and models take half as long again, or more
    return [
        {"id": n, "email": email, "f_name": f_name, "l_name": l_name, "CV_name": cv, "state": state, "created_at": at}
        for n, email, f_name, l_name, cv, state, at in rows
    ]


_SERIALIZER = JsonRowSerializer(LEAD_COLUMNS, _to_dicts)
_INCLUDED: Mapping[str, NamedColumn] = {"suspect": lead.c.suspect, "fields": FieldValues().label("fields")}


@cache
def _serializer(include: Set[str]) -> JsonRowSerializer:
    """Return the serializer of a list, with more columns if asked for."""
    if not include:
        return _SERIALIZER
    added = {name: column for name, column in _INCLUDED.items() if name in include}
    names = (*LeadModel.model_fields, *added)
    columns = (*LEAD_COLUMNS, *added.values())
    return JsonRowSerializer(columns, lambda rows: [dict(zip(names, row, strict=True)) for row in rows])


def list_statement(query: LeadFilters, *, after: int | None, size: int) -> Select[tuple[object, ...]]:
    """Return the statement for one chunk, without the condition of `q`."""
    statement = select(*LEAD_COLUMNS).where(*list_conditions(query, after=after))
    return page_by_id(statement, lead.c.id, after=after, newest_first=query.newest_first, limit=size)


def list_conditions(query: LeadFilters, *, after: int | None) -> Iterator[ColumnElement[bool] | TextClause]:
    """Yield the conditions of all filters except `q`."""
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
    yield from suspect_conditions(query.suspect)
    yield from within(
        lead.c.id,
        lead.c.created_at,
        since=query.since,
        until=query.until,
        after=after,
        newest_first=query.newest_first,
    )


def _matches(column: Column[str], pattern: Pattern) -> ColumnElement[bool]:
    if pattern.is_whole:
        return column == pattern.prefix
    # a range uses the index on both databases, LIKE on neither
    conditions = [column >= pattern.prefix] if pattern.prefix else []
    if (end := _after_prefix(pattern.prefix)) is not None:
        conditions.append(column < end)
    if not pattern.is_prefix:
        like = "%".join(map(_like_literal, pattern.literals))
        conditions.append(column.like(like, escape=LIKE_ESCAPE))
    return and_(True, *conditions)


def _like_literal(text: str) -> str:
    for special in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(special, LIKE_ESCAPE + special)
    return text


def _after_prefix(prefix: str) -> str | None:
    """Return the least text, by code point, above all texts with the prefix, or None."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)  # skip the surrogates

"""Search by words: the leads of a page, and where their names, addresses and CVs have the words."""

import json
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Connection, RowMapping, func, select

from intake.audit import Action, Actor, record, record_hourly
from intake.database import Database, word_index
from intake.database.ids import is_among
from intake.database.schema import TEXT_PENDING, cv_text, lead, lead_words
from intake.leads.fields import read_values
from intake.leads.listing import LeadFilters, list_conditions, list_statement, search_timeout
from intake.leads.models import LeadModel
from intake.request_models import Number, filters_in_use
from intake.search.excerpts import excerpts, found_words
from intake.search.queries import DESCRIPTION, SearchText
from intake.search.tokenizer import query_tokens

MAX_UNINDEXED = 10_000  # more are not counted, since each search counts them
MAX_RESULTS = 100  # of a page: the service reads the CV texts of its leads
EXCERPTS_S = 2.0  # of one page: CVs of a million lines take long, and anyone can send them
NAMES: Sequence[Literal["f_name", "l_name", "email"]] = ("f_name", "l_name", "email")


class SearchQuery(LeadFilters):
    """Words, filters and page of a search."""

    q: SearchText = Field(description=DESCRIPTION)
    limit: Annotated[Number, Field(ge=1, le=MAX_RESULTS)] = Field(default=20, description="Page size.")
    order: Literal["asc", "desc"] = Field(default="desc", description="By id: oldest or newest first.")
    matches: bool = Field(default=True, description="`false`: do not read or quote fields and CVs; faster.")


class Match(BaseModel):
    """A name, an address, or a line of a field or CV, with the words that were found in it."""

    field: str = Field(description="f_name, l_name, email, fields.KEY or CV.")
    text: str
    highlights: list[tuple[int, int]] = Field(description="Start and end of each word, in code points.")
    page: int | None = Field(default=None, description="Page of a CV that has pages.")


class SearchResult(LeadModel):
    """A lead that was found."""

    matches: list[Match]
    search_truncated: bool = Field(description="True if the lead has more words than the index stores.")
    suspect: str | None = Field(description="The sign of spam, or null.")


class SearchResults(BaseModel):
    """A page of leads that were found."""

    results: list[SearchResult]
    total: int | None = Field(description="Number of leads on all pages; null if too many have the words.")
    unindexed: int = Field(description="Number of CVs whose words are not indexed yet, at most 10,000.")
    unquoted: int = Field(
        description="Number of leads on this page whose CVs are not quoted, since that takes too long."
    )
    next: int | None = Field(description="`after` of the next page; null on the last one.")


def search(database: Database, query: SearchQuery, *, actor: Actor) -> SearchResults:
    """Return a page of leads; record the search without its words, and the quoted CVs like texts that are read.

    Raises SearchTimeout or DatabaseUnavailable: the data must not be sent then.
    """
    with search_timeout(query):
        found = database.read(lambda connection: _find(connection, query))
    quoted = sorted(one.id for one in found.results if any(match.field == "CV" for match in one.matches))

    def work(connection: Connection) -> None:
        record(connection, Action.SEARCH, actor, detail=filters_in_use(query))
        for lead_id in quoted:
            record_hourly(connection, Action.CV_TEXT, actor, lead_id=lead_id)

    database.write(work)
    return found


def _find(connection: Connection, query: SearchQuery) -> SearchResults:
    tokens = query_tokens(query.q)
    matches = word_index.find(connection, tokens)
    statement = list_statement(query, after=query.after, size=query.limit + 1).where(matches.condition)
    statement = statement.add_columns(lead.c.suspect)
    rows = connection.execute(statement).mappings().all()
    page = rows[: query.limit]
    truncated = _truncated(connection, [row["id"] for row in page])
    quotes = _Quotes(connection, until=time.monotonic() + EXCERPTS_S)
    results = [
        SearchResult(
            **row,
            matches=_matches(quotes, row, tokens) if query.matches else [],
            search_truncated=row["id"] in truncated,
        )
        for row in page
    ]
    return SearchResults(
        results=results,
        total=_count(connection, query, matches),
        unindexed=_count_unindexed(connection),
        unquoted=quotes.omitted,
        next=page[-1]["id"] if len(rows) > len(page) else None,
    )


def _matches(quotes: "_Quotes", row: RowMapping, tokens: Sequence[str]) -> list[Match]:
    """Return the names and the address that have words, and the lines of fields and CV with those that they lack."""
    matches, missing = [], set(tokens)
    for name in NAMES:
        spans, found = found_words(row[name], tokens)
        if found:
            matches.append(Match(field=name, text=row[name], highlights=spans))
            missing -= found
    for key, value in read_values(quotes.connection, row["id"]).items() if missing else ():
        matches += [
            Match(field=f"fields.{key}", text=found.text, highlights=found.highlights)
            for found in excerpts(value, [token for token in tokens if token in missing])
        ]
        missing -= found_words(value, tokens)[1]
    if missing:
        matches += quotes.of(row["id"], [token for token in tokens if token in missing])
    return matches


class _Quotes:
    """Lines of CVs, until a time by the monotonic clock."""

    def __init__(self, connection: Connection, *, until: float) -> None:
        self.connection, self._until = connection, until
        self.omitted = 0

    def of(self, lead_id: int, tokens: Sequence[str]) -> Iterator[Match]:
        """Yield the lines of a CV that have words; none after the time, which is counted."""
        if time.monotonic() >= self._until:
            self.omitted += 1
            return
        query = select(cv_text.c.text, cv_text.c.pages).where(cv_text.c.lead_id == lead_id, cv_text.c.text.is_not(None))
        for text, pages in self.connection.execute(query).all():
            starts = json.loads(pages or "[]")
            for found in excerpts(text, tokens):
                page = bisect_right(starts, found.offset) or None
                yield Match(field="CV", text=found.text, highlights=found.highlights, page=page)


def _count_unindexed(connection: Connection) -> int:
    pending = select(cv_text.c.lead_id).where(TEXT_PENDING).limit(MAX_UNINDEXED).subquery()
    return int(connection.execute(select(func.count()).select_from(pending)).scalar_one())


def _truncated(connection: Connection, ids: Sequence[int]) -> set[int]:
    query = select(lead_words.c.lead_id).where(is_among(lead_words.c.lead_id, ids), lead_words.c.search_truncated)
    return set(connection.scalars(query))


def _count(connection: Connection, query: SearchQuery, matches: word_index.Matches) -> int | None:
    """Return the number of leads, if the index returned all of them."""
    if matches.ids is None:
        return None
    count = select(func.count()).select_from(lead).where(matches.condition, *list_conditions(query, after=None))
    return int(connection.execute(count).scalar_one())

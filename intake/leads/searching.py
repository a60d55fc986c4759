"""Search by words: the leads of a page, and where their names, addresses and CVs have the words."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Connection, func, select

from intake.audit import Action, Actor, record_alone
from intake.database import Database, word_index
from intake.database.ids import is_among
from intake.database.schema import lead, lead_words
from intake.leads.listing import LeadQuery, list_conditions, list_statement, search_timeout
from intake.leads.models import LeadModel
from intake.request_models import Number, filters_in_use
from intake.search.excerpts import found_words
from intake.search.queries import DESCRIPTION, SearchText
from intake.search.tokenizer import query_tokens

MAX_RESULTS = 100  # of a page: the service reads the CV texts of its leads
NAMES: Sequence[Literal["f_name", "l_name", "email"]] = ("f_name", "l_name", "email")


class SearchQuery(LeadQuery):
    """Words, filters and page of a search."""

    q: SearchText = Field(description=DESCRIPTION)
    limit: Annotated[Number, Field(ge=1, le=MAX_RESULTS)] = Field(default=20, description="Page size.")
    order: Literal["asc", "desc"] = Field(default="desc", description="By id: oldest or newest first.")


class Match(BaseModel):
    """A name, an address, or a line of a CV, with the words that were found in it."""

    field: Literal["f_name", "l_name", "email", "CV"]
    text: str
    highlights: list[tuple[int, int]] = Field(description="Start and end of each word, in code points.")
    page: int | None = Field(default=None, description="Page of a CV that has pages.")


class SearchResult(LeadModel):
    """A lead that was found."""

    matches: list[Match]
    search_truncated: bool = Field(description="True if the lead has more words than the index stores.")


class SearchResults(BaseModel):
    """A page of leads that were found."""

    results: list[SearchResult]
    total: int | None = Field(description="Number of leads on all pages; null if too many have the words.")
    unindexed: int = Field(description="Number of CVs whose words are not indexed yet.")
    next: int | None = Field(description="`after` of the next page; null on the last one.")


def search(database: Database, query: SearchQuery, *, actor: Actor) -> SearchResults:
    """Return a page of leads, and record the search without its words.

    Raises SearchTimeout or DatabaseUnavailable: the data must not be sent then.
    """
    with search_timeout(query):
        found = database.read(lambda connection: _find(connection, query))

    record_alone(database, Action.SEARCH, actor, detail=filters_in_use(query))
    return found


def _find(connection: Connection, query: SearchQuery) -> SearchResults:
    tokens = query_tokens(query.q)
    matches = word_index.find(connection, tokens)
    statement = list_statement(query, after=query.after, size=query.limit + 1).where(matches.condition)
    rows = connection.execute(statement).mappings().all()
    page = rows[: query.limit]
    truncated = _truncated(connection, [row["id"] for row in page])
    results = [
        SearchResult(**row, matches=_in_names(row, tokens)[0], search_truncated=row["id"] in truncated) for row in page
    ]
    return SearchResults(
        results=results,
        total=_count(connection, query, matches),
        unindexed=0,
        next=page[-1]["id"] if len(rows) > len(page) else None,
    )


def _in_names(row: Any, tokens: Sequence[str]) -> tuple[list[Match], list[str]]:
    """Return the names and the address that have words, and the words that none of them has."""
    matches, missing = [], set(tokens)
    for name in NAMES:
        spans, found = found_words(row[name], tokens)
        if found:
            matches.append(Match(field=name, text=row[name], highlights=spans))
            missing -= found
    return matches, [token for token in tokens if token in missing]


def _truncated(connection: Connection, ids: Sequence[int]) -> set[int]:
    query = select(lead_words.c.lead_id).where(is_among(lead_words.c.lead_id, ids), lead_words.c.search_truncated)
    return set(connection.scalars(query))


def _count(connection: Connection, query: SearchQuery, matches: word_index.Matches) -> int | None:
    """Return the number of leads, if the index returned all of them."""
    if matches.ids is None:
        return None
    count = select(func.count()).select_from(lead).where(matches.condition, *list_conditions(query, after=None))
    return int(connection.execute(count).scalar_one())

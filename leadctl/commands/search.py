"""`leadctl search`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leadctl.list_command import Listing, SortOption, StateFilterOption, list_command
from leadctl.options import EmailFilterOption, FirstNameFilterOption, LastNameFilterOption, SinceOption, UntilOption
from leadctl.output.columns import LEAD_COLUMNS, LEAD_HEADINGS
from leadctl.output.formats import OutputFormat, Record
from leadctl.times import parse_range

if TYPE_CHECKING:  # importing it takes 95 ms
    from leadctl.api import Api

TERMINAL_LIMIT = 20
PAGE = 100  # the server's maximum


@list_command("leads", (*LEAD_COLUMNS, "found"), headings=LEAD_HEADINGS, terminal_limit=TERMINAL_LIMIT)
def command(
    listing: Listing,
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="Words, or the beginnings of words.")],
    state: StateFilterOption = None,
    email: EmailFilterOption = None,
    f_name: FirstNameFilterOption = None,
    l_name: LastNameFilterOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    sort: SortOption = "-id",
) -> None:
    """Search leads for words, and show where they are.

    Finds leads that have all the words in their names, email address, CV or your own fields. Case and accents are
    ignored, and each word can be the beginning of a longer one. In a pipe, prints all leads that are found, one line
    each, unless --limit is given.

    Examples:
      leadctl search garcia h-1b
      leadctl search immigration --state PENDING -o ids
    """
    texts = {"q": " ".join(words), "state": state, "email": email, "f_name": f_name, "l_name": l_name}
    options = listing.options
    if options.output_format is OutputFormat.IDS or (options.is_selection and "found" not in options.columns):
        texts["matches"] = "false"  # reading all CVs takes long, and the audit trail would record it
    found = _Search(listing.context.api, newest_first=sort == "-id")
    listing = replace(listing, options=replace(listing.options, layout=_layout))
    order = "newest" if sort == "-id" else "oldest"
    listing.show(found.leads, {**texts, **parse_range(since, until)}, order=order, total=lambda _filters: found.total)
    if count := found.unindexed:
        listing.context.info(f"{count} {'CV is' if count == 1 else 'CVs are'} not indexed yet")
    if count := found.unquoted:
        listing.context.info(
            f"{count} {'CV is' if count == 1 else 'CVs are'} not quoted, because reading them takes too long"
        )


NAMES = ("f_name", "l_name", "email")


class _Search:
    """The results of a search, and what the server says about all of them."""

    def __init__(self, api: "Api", *, newest_first: bool) -> None:
        self._api, self._newest_first = api, newest_first
        self.total: int | None = None
        self.unindexed = self.unquoted = 0

    def leads(self, filters: Mapping[str, Any], *, limit: int | None) -> Iterator[Record]:
        """Yield up to `limit` leads that are found, fetched page by page."""
        left = limit
        for page in self._api.search(filters, newest_first=self._newest_first, size=min(limit or PAGE, PAGE)):
            self.total, self.unindexed = page["total"], page["unindexed"]
            self.unquoted += page["unquoted"]
            results = page["results"] if left is None else page["results"][:left]
            yield from ({**lead, "found": _plain(lead["matches"])} for lead in results)
            left = None if left is None else left - len(results)
            if left == 0:
                return


def _plain(matches: Sequence[Mapping[str, Any]]) -> str:
    """Return the lines of fields and the CV, or without any the names, in which words were found."""
    lines = [str(match["text"]) for match in matches if match["field"] not in NAMES]
    return " … ".join(lines or [str(match["text"]) for match in matches]).replace("\t", " ")


def _layout(records: Iterable[Record]) -> Iterator[str]:
    from leadctl.output.search_results import result_lines  # noqa: PLC0415 - it imports rich

    return result_lines(records)

"""`leadctl list`."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leadctl.errors import LeadctlError
from leadctl.list_command import Listing, SortOption, StateFilterOption, list_command
from leadctl.options import (
    EmailFilterOption,
    FirstNameFilterOption,
    LastNameFilterOption,
    Omitted,
    SinceOption,
    SuspectOption,
    TextFilterOption,
    UntilOption,
)
from leadctl.output.columns import FIELD, LEAD_COLUMNS, LEAD_HEADINGS, OWN_FIELD
from leadctl.output.formats import Record
from leadctl.times import parse_range

if TYPE_CHECKING:  # importing it takes 95 ms
    from leadctl.api import Api

_EXACT = "; names need their accents here, but not in leadctl search"


@list_command("leads", LEAD_COLUMNS, known=(*LEAD_COLUMNS, "suspect", FIELD), headings=LEAD_HEADINGS)
def command(
    listing: Listing,
    state: StateFilterOption = None,
    email: EmailFilterOption = None,
    f_name: FirstNameFilterOption = None,
    l_name: LastNameFilterOption = None,
    text: TextFilterOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    sort: SortOption = "-id",
    suspect: SuspectOption = False,
    fields: Annotated[
        bool, typer.Option("--fields", help="Include your firm's own fields, in columns named fields.KEY.")
    ] = False,
) -> None:
    """List leads.

    On a terminal, shows the newest as a table; in a pipe, prints all as lines. Omits suspect leads, and says how many.

    Examples:
      leadctl list --state PENDING --since 2d
      leadctl list -q 'garcia h-1b'
      leadctl list -o csv --columns id,l_name,fields.matter > leads.csv
    """
    api, options, omitted = listing.context.api, listing.options, Omitted(listing.context.info)
    chosen = [name for name in options.columns if name not in LEAD_COLUMNS] if options.is_selection else []
    include = [name for name, wanted in (("suspect", suspect), ("fields", fields)) if wanted]
    include = sorted({*include, *(name.partition(".")[0] for name in chosen)})
    filters = {"state": state, "email": email, "f_name": f_name, "l_name": l_name, "q": text}
    is_flat = bool(chosen) or not options.is_json

    def fetch(given: Mapping[str, Any], *, limit: int | None) -> Iterator[Record]:
        query = {**given, "include": include} if include else given
        found = api.leads(query, newest_first=sort == "-id", limit=limit, on_omitted=None if suspect else omitted.add)
        return map(_flat, found) if is_flat else found

    if suspect and not options.is_selection:
        listing = replace(listing, options=replace(options, columns=(*options.columns, "suspect")))
    listing.show(
        fetch,
        {**filters, **parse_range(since, until)},
        order="newest" if sort == "-id" else "oldest",
        total=partial(_total, api, with_suspects=suspect),
        if_none=(_EXACT if f_name or l_name else "") + _whole_address(email or ""),
        more_columns=_field_columns if fields and is_flat and not options.is_selection else None,
    )
    omitted.report()


def _whole_address(email: str) -> str:
    """Return a hint if the filter is a part of an address without a wildcard."""
    if not email or "*" in email or re.fullmatch(".+@.+", email):
        return ""
    return f"; the whole address must match; try --email {shlex.quote(f'*{email}*')}"


def _flat(lead: Mapping[str, Any]) -> Record:
    from leadctl.api import flatten_fields  # noqa: PLC0415 - imported by now

    return {**lead, **flatten_fields(lead["fields"])} if "fields" in lead else lead


def _field_columns(leads: Sequence[Record]) -> Sequence[str]:
    return sorted({name for lead in leads for name in lead if OWN_FIELD.fullmatch(name)})


def _total(api: "Api", filters: Mapping[str, Any], *, with_suspects: bool) -> int | None:
    """Return the number of leads, if the server counts them without reading them."""
    if filters.keys() - {"state"}:
        return None
    try:
        counts: Mapping[str, int] = api.stats(with_suspects=with_suspects)["states"]
    except LeadctlError:
        return None
    return sum(number for state, number in counts.items() if state in filters.get("state", counts))

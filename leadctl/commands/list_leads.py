"""`leadctl list`."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from leadctl.errors import LeadctlError
from leadctl.list_command import Listing, SortOption, StateFilterOption, list_command
from leadctl.options import (
    EmailFilterOption,
    FirstNameFilterOption,
    LastNameFilterOption,
    SinceOption,
    TextFilterOption,
    UntilOption,
)
from leadctl.output.columns import LEAD_COLUMNS, LEAD_HEADINGS
from leadctl.times import parse_range

if TYPE_CHECKING:  # importing it takes 95 ms
    from leadctl.api import Api


@list_command("leads", LEAD_COLUMNS, headings=LEAD_HEADINGS)
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
) -> None:
    """List leads.

    On a terminal, shows the newest as a table; in a pipe, prints all as lines.

    Examples:
      leadctl list --state PENDING --since 2d
      leadctl list -q 'garcia h-1b'
      leadctl list --email '*@example.com' -o csv --columns id,l_name > leads.csv
    """
    texts = {"state": state, "email": email, "f_name": f_name, "l_name": l_name, "q": text}
    filters, api = {**texts, **parse_range(since, until)}, listing.context.api
    fetch = partial(api.leads, newest_first=sort == "-id")
    listing.show(fetch, filters, order="newest" if sort == "-id" else "oldest", total=partial(_total, api))


def _total(api: "Api", filters: Mapping[str, Any]) -> int | None:
    """Return the number of leads, if the server counts them without reading them."""
    if filters.keys() - {"state"}:
        return None
    try:
        counts: Mapping[str, int] = api.stats()["states"]
    except LeadctlError:
        return None
    return sum(number for state, number in counts.items() if state in filters.get("state", counts))

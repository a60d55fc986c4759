"""`leadctl changes`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer

from leadctl.change_ids import format_change_id
from leadctl.list_command import Listing, list_command
from leadctl.output.formats import OutputFormat, Record

COLUMNS = ("id", "at", "user", "from", "to", "count", "undoes", "undone_by")
TERMINAL_COLUMNS = ("id", "at", "user", "to", "count", "undone_by")
DEFAULT_LIMIT = 20


@list_command("changes", COLUMNS, on_terminal=TERMINAL_COLUMNS, default_limit=DEFAULT_LIMIT)
def command(
    listing: Listing, mine: Annotated[bool, typer.Option("--mine", help="Only your own changes.")] = False
) -> None:
    """List the changes made by set-state and undo, newest first.

    Omits changes that affected no lead. Tables show the first 8 characters of ids, which leadctl undo accepts.

    Examples:
      leadctl changes
      leadctl changes --mine -n 1 -o ids
    """
    api, options = listing.context.api, listing.options

    def fetch(filters: Mapping[str, Any], *, limit: int) -> Iterable[Record]:
        changes = api.changes(limit, **filters)
        return changes if options.is_json else _flat(changes, options.output_format)

    listing.show(fetch, {"mine": mine or None})


def _flat(changes: Iterable[Record], output_format: OutputFormat) -> Iterator[Record]:
    for change in changes:
        undone_by = " ".join(str(format_change_id(undoing["id"], output_format)) for undoing in change["undone_by"])
        undoes = format_change_id(change["undoes"], output_format)
        # narrow tables have no room for the column `undoes`
        to = f"undo of {undoes}" if output_format is OutputFormat.TABLE and undoes else change["to"]
        yield {
            **change,
            "id": format_change_id(change["id"], output_format),
            "to": to,
            "undoes": undoes,
            "undone_by": undone_by,
        }

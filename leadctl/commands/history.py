"""`leadctl history`."""

from leadctl.change_ids import format_change_id
from leadctl.errors import UsageError
from leadctl.ids import parse_id
from leadctl.list_command import Listing, list_command
from leadctl.options import LeadIdArgument
from leadctl.output.formats import OutputFormat, Record

COLUMNS = ("at", "user", "from", "to", "change", "undoes")


@list_command("state changes", COLUMNS, has_limit=False)
def command(listing: Listing, lead_id: LeadIdArgument) -> None:
    """Show the state changes of a lead, oldest first.

    Begins with the attorney who entered the lead, if one did. The column undoes has the id of the change that an undo
    reverted.

    Examples:
      leadctl history 42
      leadctl history 42 -o json
    """
    output_format = listing.options.output_format
    if output_format is OutputFormat.IDS:
        raise UsageError("-o ids is not supported: the events of a lead have no ids")
    events = listing.context.api.history(parse_id(lead_id))
    listing.show([_with_short_ids(event, output_format) for event in events])


def _with_short_ids(event: Record, output_format: OutputFormat) -> Record:
    ids = {name: format_change_id(event[name], output_format) for name in ("change", "undoes") if name in event}
    return {**event, **ids}

"""Change ids: formatting, and resolving of abbreviated ids."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from leadctl.errors import NotFound, UsageError
from leadctl.output.formats import OutputFormat, Record
from leadctl.times import format_relative

if TYPE_CHECKING:  # importing it costs 95 ms
    from leadctl.api import Api

SHORT_ID_CHARS = 8
CANDIDATES = 10


def format_change_id(change: str | None, output_format: OutputFormat) -> str | None:
    """Return the id, abbreviated in tables."""
    return change[:SHORT_ID_CHARS] if change and output_format is OutputFormat.TABLE else change


def describe_change(change: Record) -> str:
    """Return a short description of a change: what, how many, who and when."""
    what = f"undo of {str(change['undoes'])[:SHORT_ID_CHARS]}" if change.get("undoes") else f"to {change.get('to')}"
    when = format_relative(change["at"], datetime.now().astimezone())
    return f"{what}, {change['count']} lead{'s' * (change['count'] != 1)}, by {change['user']}, {when}"


def resolve_change_id(text: str, api: "Api", print_candidate: Callable[[str], None]) -> UUID:
    """Return the change id that begins with the text; print the candidates if it is ambiguous.

    Raises UsageError or NotFound.
    """
    if re.fullmatch(r"[0-9a-fA-F]{1,7}", text):
        raise UsageError(f"{text!r} is too short; use at least {SHORT_ID_CHARS} characters of a change id")
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]){0,24}", text):
        raise UsageError(f"{text!r} is not a change id; leadctl changes lists them")
    if len(text.replace("-", "")) == 32:
        return UUID(text)
    found = list(api.changes(CANDIDATES, start=text))
    if not found:
        raise NotFound(f"there is no change {text}")
    if len(found) > 1:
        for one in found:
            print_candidate(f"{one['id']}: {describe_change(one)}")
        raise UsageError(f"{text} matches {len(found)} change ids; use more characters")
    return UUID(found[0]["id"])

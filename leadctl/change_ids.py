"""Ids of changes: short in tables, whole elsewhere, and read in either form."""

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

SHORT = 8
CANDIDATES = 10


def shown(change: str | None, face: OutputFormat) -> str | None:
    """Return the id as the format shows it."""
    return change[:SHORT] if change and face is OutputFormat.TABLE else change


def described(change: Record) -> str:
    """Return in a few words what a change did, who made it and when."""
    what = f"undo of {str(change['undoes'])[:SHORT]}" if change.get("undoes") else f"to {change.get('to')}"
    when = format_relative(change["at"], datetime.now().astimezone())
    return f"{what}, {change['count']} lead{'s' * (change['count'] != 1)}, by {change['user']}, {when}"


def read_change(text: str, api: "Api", tell: Callable[[str], None]) -> UUID:
    """Return the id of which the text is the beginning, or the whole. An ambiguous one's candidates are told.

    Raises Usage or NotFound.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]){0,24}", text):
        raise UsageError(f"{text!r} is not a change id; `leadctl changes` lists them")
    if len(text.replace("-", "")) == 32:
        return UUID(text)
    found = list(api.changes(CANDIDATES, start=text))
    if not found:
        raise NotFound(f"there is no change {text}")
    if len(found) > 1:
        for one in found:
            tell(f"{one['id']}: {described(one)}")
        raise UsageError(f"{text} is the beginning of {len(found)} change ids; give more of it")
    return UUID(found[0]["id"])

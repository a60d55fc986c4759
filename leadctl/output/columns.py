"""Columns shared by several commands, and their headings; the columns of one list are in its command's module."""

import re
from collections.abc import Mapping

LEAD_COLUMNS = ("id", "email", "f_name", "l_name", "CV_name", "state", "created_at")  # the API's order
OUTCOME_COLUMNS = ("id", "result", "state")  # the result of a change for one lead
STATE_COLUMNS = ("state", "from", "to", "result")  # coloured in tables
FIELD = "fields.KEY"  # stands for the firm's own fields in the names of columns
OWN_FIELD = re.compile("fields[.][a-z][a-z0-9_]{0,31}")
OWN_PREFIXES = ("fields.", "consents.")  # of columns whose names end in a key that the firm chose
LEAD_HEADINGS = {"created_at": "RECEIVED"}
_HEADINGS = {
    "f_name": "FIRST NAME",
    "l_name": "LAST NAME",
    "CV_name": "CV",
    "CV_detected_type": "CV TYPE",
    "CV_scan_state": "CV SCAN",
    "at": "WHEN",
    "user": "WHO",
    "count": "LEADS",
    "lead_id": "LEAD",
    "last_error": "ERROR",
}


def heading(column: str, headings: Mapping[str, str] | None) -> str:
    """Return the readable heading of a column, from `headings` if it is there; its own name without `headings`."""
    if headings is None:
        return column
    if column.startswith(OWN_PREFIXES):
        return column
    name = column.removesuffix("_at").replace("_", " ").upper()
    return {**_HEADINGS, **headings}.get(column, name)

"""Columns shared by several commands; those of one list are in its command's module."""

LEAD_COLUMNS = ("id", "email", "f_name", "l_name", "CV_name", "state", "created_at")  # the API's order
OUTCOME_COLUMNS = ("id", "result", "state")  # the result of a change for one lead
STATE_COLUMNS = ("state", "from_state", "to_state", "from", "to", "result", "status")  # coloured in tables

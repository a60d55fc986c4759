"""Statistics endpoint."""

from starlette.responses import Response

from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.leads import statistics


def get_stats(request: AppRequest) -> Response:
    """Return numbers of leads per state and day, and of unsent mails."""
    database = request.state["database"]
    return json_response(statistics.count(database, states=request.state["settings"].states))

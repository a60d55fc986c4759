"""Statistics endpoint."""

from starlette.responses import Response

from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.leads import statistics


def get_stats(request: AppRequest) -> Response:
    """Return numbers of leads per state and day, and of unsent mails."""
    database, settings = request.state["database"], request.state["settings"]
    found = statistics.count(database, states=settings.states, state_keys=dict(settings.state_keys))
    return json_response(found)

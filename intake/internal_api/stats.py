"""Statistics endpoint."""

from starlette.responses import Response

from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.leads import statistics
from intake.leads.statistics import StatsQuery


def get_stats(request: AppRequest, query: StatsQuery) -> Response:
    """Return numbers of leads per state and day, and of unsent mails."""
    database, settings = request.state["database"], request.state["settings"]
    keys = dict(settings.state_keys)
    return json_response(statistics.count(database, states=settings.states, state_keys=keys, suspect=query.suspect))

"""Statistics endpoint."""

from starlette.responses import Response

from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.internal_api.schemas.stats import Statistics, UnsentMails
from intake.leads import statistics
from intake.mail import admin


def get_stats(request: AppRequest) -> Response:
    """Return numbers of leads per state and day, and of unsent mails."""
    database = request.state["database"]
    leads = statistics.count(database, states=request.state["settings"].states)
    return json_response(Statistics(**dict(leads), mails=UnsentMails(**admin.count_unsent(database))))

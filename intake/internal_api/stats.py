"""Statistics endpoint."""

from starlette.responses import Response

from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.leads import statistics
from intake.mail import admin


def get_stats(request: AppRequest) -> Response:
    """Return numbers of leads and unsent mails."""
    parts = request.state
    leads = statistics.count(parts["database"], states=parts["settings"].states)
    oldest = leads.oldest_waiting
    return json_response(
        {
            "total": sum(leads.states.values()),
            "states": leads.states,
            "days": {day.isoformat(): count for day, count in leads.days.items()},
            "oldest_waiting": oldest and {"id": oldest.id, "created_at": oldest.created_at},
            "mails": admin.count_unsent(parts["database"]),
        }
    )

"""Numbers, for attorneys to see at a glance where things stand."""

from starlette.responses import Response

from intake.leads import statistics
from intake.mail import review
from intake.web.bodies import json_response
from intake.web.parts import AppRequest


def get_stats(request: AppRequest) -> Response:
    """Count leads and mails."""
    parts = request.state
    leads = statistics.count(parts["database"], states=parts["settings"].states)
    oldest = leads.oldest_waiting
    return json_response(
        {
            "total": sum(leads.states.values()),
            "states": leads.states,
            "days": {day.isoformat(): number for day, number in leads.days.items()},
            "oldest_waiting": oldest and {"id": oldest.id, "created_at": oldest.created_at},
            "mails": review.count_unsent(parts["database"]),
        }
    )

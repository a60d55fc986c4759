"""The audit trail, for administrators to read."""

from starlette.responses import Response

from intake import audit
from intake.http.pagination import page_response
from intake.http.request_parsing import read_query
from intake.http.request_state import AppRequest
from intake.internal_api.schemas.audit import AuditQuery


def get_audit(request: AppRequest) -> Response:
    """Give a page of entries."""
    query = read_query(request.query_params, AuditQuery)
    wanted = audit.AuditFilter(
        username=query.user,
        actions=query.action,
        lead_id=query.lead,
        since=query.since,
        until=query.until,
        after=query.after,
        newest_first=query.order == "desc",
    )
    found = audit.list_entries(request.state["database"], wanted, limit=query.limit + 1)
    return page_response(request, found, limit=query.limit)

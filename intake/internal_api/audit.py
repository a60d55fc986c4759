"""Audit trail endpoint."""

from starlette.responses import Response

from intake import audit
from intake.audit import AuditQuery
from intake.http.pagination import page_response
from intake.http.request_parsing import read_query
from intake.http.request_state import AppRequest


def get_audit(request: AppRequest) -> Response:
    """Return a page of entries."""
    query = read_query(request.query_params, AuditQuery)
    return page_response(request, audit.list_entries(request.state["database"], query), limit=query.limit)

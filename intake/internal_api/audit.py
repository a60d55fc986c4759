"""Audit trail endpoint."""

from starlette.responses import Response

from intake import audit
from intake.audit import AuditQuery
from intake.http.pagination import page_response
from intake.http.request_state import AppRequest


def get_audit(request: AppRequest, query: AuditQuery) -> Response:
    """Return a page of the audit trail."""
    return page_response(request, audit.list_entries(request.state["database"], query), limit=query.limit)

"""Endpoints for bulk state changes, their undo, and history."""

from uuid import UUID, uuid4

from starlette.responses import Response

from intake.errors import ChangeNotFound
from intake.http.pagination import page_response
from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.http.routing import require_user
from intake.internal_api.leads import lead_id, validate_change
from intake.internal_api.schemas.bulk_changes import BulkChange, Undo
from intake.leads import bulk_changes, history
from intake.leads.bulk_changes import ChangeContext
from intake.leads.history import ChangeQuery


def post_leads_state(request: AppRequest, body: BulkChange) -> Response:
    """Change the state of many leads, in one transaction."""
    validate_change(request, body)
    database, context = request.state["database"], _context(request, body)
    results = bulk_changes.change_states(database, body.ids, to=body.status, expected=body.from_, context=context)
    return json_response({"change": context.change_id, "results": results})


def post_undo(request: AppRequest, body: Undo) -> Response:
    """Undo a change for all leads that have not changed since."""
    parts = request.state
    context = _context(request, body)
    known = parts["settings"].states
    results, next_after = bulk_changes.undo(
        parts["database"], _change_id(request), after=body.after, known=known, context=context, others=body.others
    )
    return json_response({"change": context.change_id, "results": results, "next": next_after})


def get_changes(request: AppRequest, query: ChangeQuery) -> Response:
    """Return a page of bulk changes, newest first."""
    found = history.list_changes(request.state["database"], query, user_id=require_user(request).id)
    return page_response(request, found, limit=query.limit, by="before")


def get_history(request: AppRequest) -> Response:
    """Return the history of a lead."""
    return json_response(history.history(request.state["database"], lead_id(request)))


def _context(request: AppRequest, body: BulkChange | Undo) -> ChangeContext:
    return ChangeContext(change_id=body.change or uuid4(), user_id=require_user(request).id, dry_run=body.dry_run)


def _change_id(request: AppRequest) -> UUID:
    text = request.path_params["id"]
    try:
        return UUID(text)
    except ValueError:
        raise ChangeNotFound(f"there is no change {text!r}: ids of changes are UUIDs") from None

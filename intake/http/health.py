"""The operators' routes: is it up, can it work, what does it count, and how is it used."""

from starlette.responses import HTMLResponse, Response

from intake import metrics
from intake.database.migrations import is_migrated
from intake.errors import DatabaseUnavailable
from intake.http.problems import problem
from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.http.routing import Access, Operation, ResponseSpec
from intake.http.templates import PAGE_POLICY


def get_healthz(_request: AppRequest) -> Response:
    """Say that the process is up."""
    return json_response({"status": "up"})


def get_readyz(request: AppRequest) -> Response:
    """Say whether the database can be reached and is migrated, and what else an operator should know of."""
    if not is_migrated(request.state["database"]):
        return problem(503, detail="the database is not migrated: run `intake migrate`", headers={"Retry-After": "30"})
    worker = request.state["worker"]
    troubles = {} if worker is None else {"mail": worker.last_error, "scan": worker.last_scan_error}
    holds = {} if worker is None else {"cv_store": worker.store_hold}
    told = {**troubles, **holds, "forwarded": request.state["forwarding"].last_error}
    if not request.state["exposes_errors"]:
        told = {name: text and "see the service's log" for name, text in told.items()}
    return json_response({"status": "ready", **{name: text for name, text in told.items() if text}})


def get_metrics(request: AppRequest) -> Response:
    """Give what is counted to Prometheus."""
    return Response(request.state["metrics"].exposition(), media_type=metrics.MEDIA_TYPE)


def get_openapi(request: AppRequest) -> Response:
    """Give the description of every route."""
    return Response(request.state["description"].document, media_type="application/json")


def get_docs(request: AppRequest) -> Response:
    """Give the same as a page; its policy lets it load nothing at all."""
    return HTMLResponse(request.state["description"].page, headers={"Content-Security-Policy": PAGE_POLICY})


_STATUS = {
    "type": "object",
    "properties": {
        "status": {"type": "string"},
        "mail": {"type": "string", "description": "What keeps every mail from being sent, where something does."},
        "scan": {"type": "string", "description": "What keeps every CV from being scanned, where something does."},
        "cv_store": {"type": "string", "description": "Why orphans in the CV store are not collected, on a hold."},
        "forwarded": {
            "type": "string",
            "description": "What keeps clients from being told apart, where something does.",
        },
    },
    "required": ["status"],
}
_TEXT = {"type": "string"}

HEALTH = (
    Operation(
        method="GET",
        path="/healthz",
        endpoint=get_healthz,
        summary="The process is up.",
        access=Access.OPEN,
        answer=ResponseSpec(200, "Up", _STATUS),
    ),
    Operation(
        method="GET",
        path="/readyz",
        endpoint=get_readyz,
        summary="The database can be reached and is migrated.",
        access=Access.OPEN,
        answer=ResponseSpec(200, "Ready", _STATUS),
        problems=(DatabaseUnavailable,),
    ),
)

OPERATIONS = (
    *HEALTH,
    Operation(
        method="GET",
        path="/metrics",
        endpoint=get_metrics,
        summary="Counters for Prometheus.",
        access=Access.OPEN,
        answer=ResponseSpec(200, "Counters", _TEXT, media_type="text/plain"),
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        endpoint=get_openapi,
        summary="This description, as OpenAPI 3.1.",
        access=Access.OPEN,
        answer=ResponseSpec(200, "The description", {"type": "object"}),
    ),
    Operation(
        method="GET",
        path="/docs",
        endpoint=get_docs,
        summary="This description, as a page.",
        access=Access.OPEN,
        answer=ResponseSpec(200, "The page", _TEXT, media_type="text/html"),
    ),
)

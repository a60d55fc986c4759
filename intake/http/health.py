"""Routes for operators: health, metrics and the API description."""

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
    """Report that the process is up."""
    return json_response({"status": "up"})


def get_readyz(request: AppRequest) -> Response:
    """Report whether the database is reachable and migrated, and other errors that an operator should know."""
    if not is_migrated(request.state["database"]):
        return problem(503, detail="the database is not migrated; run: intake migrate", headers={"Retry-After": "30"})
    errors = {"forwarded": request.state["forwarding"].last_error}
    if (worker := request.state["worker"]) is not None:
        errors |= worker.errors
    if not request.state["exposes_errors"]:
        errors = {name: text and "see the service's log" for name, text in errors.items()}
    return json_response({"status": "ready", **{name: text for name, text in errors.items() if text}})


def get_metrics(request: AppRequest) -> Response:
    """Return the metrics for Prometheus."""
    return Response(request.state["metrics"].exposition(), media_type=metrics.MEDIA_TYPE)


def get_openapi(request: AppRequest) -> Response:
    """Return the OpenAPI document."""
    return Response(request.state["description"].document, media_type="application/json")


def get_docs(request: AppRequest) -> Response:
    """Return the OpenAPI document as HTML, with a policy that lets it load nothing."""
    return HTMLResponse(request.state["description"].page, headers={"Content-Security-Policy": PAGE_POLICY})


_STATUS = {
    "type": "object",
    "properties": {
        "status": {"type": "string"},
        "mail": {"type": "string", "description": "The error that prevents all mail from being sent."},
        "scan": {"type": "string", "description": "The error that prevents all CVs from being scanned."},
        "cv_store": {"type": "string", "description": "Why orphans in the CV store are not collected."},
        "forwarded": {
            "type": "string",
            "description": "Why clients can't be distinguished.",
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
        summary="Liveness: the process is up.",
        access=Access.OPEN,
        answer=ResponseSpec(200, "Up", _STATUS),
    ),
    Operation(
        method="GET",
        path="/readyz",
        endpoint=get_readyz,
        summary="Readiness: the database is reachable and migrated.",
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
        summary="Metrics for Prometheus.",
        access=Access.OPEN,
        answer=ResponseSpec(200, "Metrics", _TEXT, media_type="text/plain"),
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

"""Routes for operators: health and metrics; and the descriptions of the public API and of the whole process."""

from starlette.responses import HTMLResponse, Response

from intake import metrics
from intake.database.migrations import schema_error
from intake.database.server_checks import standby_error
from intake.errors import DatabaseUnavailable
from intake.http.openapi import Description
from intake.http.problems import RETRY_AFTER_S, problem
from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.http.routing import open_get


def get_healthz(request: AppRequest) -> Response:
    """Report liveness: the process is up, also while it drains."""
    return json_response({"status": "draining" if request.state["is_draining"] else "up"})


def get_readyz(request: AppRequest) -> Response:
    """Report readiness: the database accepts writes, this version can use its schema, and the process does not drain.

    Errors that do not affect it, but that an operator should know, are members of the response.
    """
    if request.state["is_draining"]:
        return problem(503, detail="the process is stopping", headers={"Retry-After": str(RETRY_AFTER_S)})
    if error := schema_error(request.state["database"]) or request.state["database"].read(standby_error):
        return problem(503, detail=error, headers={"Retry-After": "30"})
    errors = {"forwarded": request.state["forwarding"].last_error}
    if (worker := request.state["worker"]) is not None:
        errors |= worker.errors
    if not request.state["exposes_errors"]:
        errors = {name: text and "see the service's log" for name, text in errors.items()}
    elif worker is not None:
        errors["cv_sandbox"] = worker.cv_sandbox
    return json_response({"status": "ready", **{name: text for name, text in errors.items() if text}})


def get_metrics(request: AppRequest) -> Response:
    """Return the metrics for Prometheus."""
    return Response(request.state["metrics"].exposition(), media_type=metrics.MEDIA_TYPE)


def get_openapi(request: AppRequest) -> Response:
    """Return the OpenAPI document of the public API."""
    return Response(request.state["public_description"].document, media_type="application/json")


def get_docs(request: AppRequest) -> Response:
    """Return the OpenAPI document of the public API as HTML."""
    return _page(request.state["public_description"])


def get_internal_openapi(request: AppRequest) -> Response:
    """Return the OpenAPI document of all routes of the process."""
    return Response(request.state["description"].document, media_type="application/json")


def get_internal_docs(request: AppRequest) -> Response:
    """Return the OpenAPI document of all routes of the process as HTML."""
    return _page(request.state["description"])


def _page(description: Description) -> Response:
    """Return the page, with a policy that lets it load nothing."""
    return HTMLResponse(description.page, headers={"Content-Security-Policy": description.policy})


_STATUS = {
    "type": "object",
    "properties": {
        "status": {"type": "string"},
        "mail": {"type": "string", "description": "The error that prevents all mail from being sent."},
        "scan": {"type": "string", "description": "The error that prevents all CVs from being scanned."},
        "cv_text": {
            "type": "string",
            "description": "The error that prevents all texts of CVs from being extracted.",
        },
        "cv_sandbox": {"type": "string", "description": "The active parts of the sandbox for these texts."},
        "cv_store": {"type": "string", "description": "Why orphans in the CV store are not collected."},
        "forwarded": {
            "type": "string",
            "description": "Why clients can't be distinguished.",
        },
    },
    "required": ["status"],
    "examples": [{"status": "ready"}],
}
_UP = {
    **_STATUS,
    "properties": {"status": {"type": "string", "description": "`up`, or `draining` before the process stops."}},
    "examples": [{"status": "up"}],
}
_PAGE = {"type": "string", "examples": ["<!doctype html>…"]}
_METRICS = {"type": "string", "examples": ["intake_leads_total 42.0"]}
_DOCUMENT = {"type": "object", "examples": [{"openapi": "3.1.0"}]}

PUBLIC_DESCRIPTION = (
    open_get("/openapi.json", get_openapi, "The description", _DOCUMENT),
    open_get("/docs", get_docs, "The page", _PAGE, "text/html"),
)

HEALTH = (
    open_get("/healthz", get_healthz, "Up", _UP),
    open_get("/readyz", get_readyz, "Ready", _STATUS, problems=(DatabaseUnavailable,)),
)

OPERATIONS = (
    *HEALTH,
    open_get("/metrics", get_metrics, "Metrics", _METRICS, "text/plain"),
    open_get("/internal/openapi.json", get_internal_openapi, "The description", _DOCUMENT),
    open_get("/internal/docs", get_internal_docs, "The page", _PAGE, "text/html"),
)

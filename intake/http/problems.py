"""Error responses: RFC 9457 problems, from one table of exception classes and statuses."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from intake import errors
from intake.http.request_parsing import json_bytes
from intake.http.request_state import AppRequest

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
STOPPING = "the service is stopping and could not finish this request; send it again"
log = logging.getLogger("intake.http")


@dataclass(frozen=True)
class ProblemType:
    """The status, title and anchor on the page of documentation of one type of problem."""

    status: int
    title: str

    @property
    def anchor(self) -> str:
        """The title as a URL fragment."""
        return self.title.lower().replace(" ", "-")


PROBLEM_TYPES: Mapping[type[errors.IntakeError], ProblemType] = {
    errors.MalformedBody: ProblemType(400, "Malformed body"),
    errors.InvalidHostHeader: ProblemType(400, "Ambiguous host"),
    errors.AuthenticationRequired: ProblemType(401, "Not authenticated"),
    errors.PermissionDenied: ProblemType(403, "Not allowed"),
    errors.LeadNotFound: ProblemType(404, "Lead not found"),
    errors.PersonNotFound: ProblemType(404, "Person not found"),
    errors.ChangeNotFound: ProblemType(404, "Change not found"),
    errors.UserNotFound: ProblemType(404, "User not found"),
    errors.RequestTimeout: ProblemType(408, "Body too slow"),
    errors.StateConflict: ProblemType(409, "State conflict"),
    errors.IdempotencyKeyInUse: ProblemType(409, "Submission under way"),
    errors.ScanPending: ProblemType(409, "CV being scanned"),
    errors.CvQuarantined: ProblemType(409, "CV quarantined"),
    errors.ChangeByAnotherUser: ProblemType(409, "Change by another user"),
    errors.CvTooLargeToScan: ProblemType(409, "CV too large to scan"),
    errors.UsernameTaken: ProblemType(409, "Username taken"),
    errors.LastAdministrator: ProblemType(409, "Last administrator"),
    errors.ExternalIdTaken: ProblemType(409, "External id taken"),
    errors.BodyTooLarge: ProblemType(413, "Body too large"),
    errors.UnsupportedMediaType: ProblemType(415, "Body type not supported"),
    errors.RangeNotSatisfiable: ProblemType(416, "Range not satisfiable"),
    errors.MisdirectedRequest: ProblemType(421, "Host not served"),
    errors.ValidationError: ProblemType(422, "Invalid fields"),
    errors.RateLimited: ProblemType(429, "Too many requests"),
    errors.LoginThrottled: ProblemType(429, "Too many guesses"),
    errors.TooManyPendingLogins: ProblemType(429, "Too many logins"),
    errors.ChecksumMismatch: ProblemType(500, "CV damaged"),
    errors.DatabaseUnavailable: ProblemType(503, "Database unavailable"),
    errors.SearchTimeout: ProblemType(503, "Search timeout"),
    errors.StorageUnavailable: ProblemType(503, "Storage unavailable"),
    errors.RateLimiterUnavailable: ProblemType(503, "Rate limiter unavailable"),
    errors.ServiceBusy: ProblemType(503, "Service busy"),
}


def problem(
    status: int,
    *,
    detail: str,
    title: str | None = None,
    type_: str = "about:blank",
    headers: Mapping[str, str] | None = None,
    **members: object,
) -> Response:
    """Return a problem document with these additional members."""
    document = {"type": type_, "title": title or HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(json_bytes({**document, **members}), status, headers, MEDIA_TYPE)


def stopping() -> Response:
    """Return the response to a request that a stopping service can't finish."""
    headers = {"Retry-After": str(RETRY_AFTER_S), "Connection": "close"}
    return problem(503, detail=STOPPING, headers=headers)


def on_error(request: AppRequest, error: Exception) -> Response:
    """Return the response to any error of a request."""
    if isinstance(error, errors.IntakeError):
        return on_intake_error(request, error)
    if isinstance(error, HTTPException):
        return _on_http_exception(request, error)
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # nobody reads it
    request_id = request.state["request_id"]
    log.error("request %s failed; the traceback follows", request_id)
    return problem(500, detail="internal error; the service's log has the details", request_id=request_id)


def is_unexpected(error: Exception) -> bool:
    """Return whether an error is a defect of the service."""
    return not isinstance(error, errors.IntakeError | HTTPException | ClientDisconnect)


def on_intake_error(request: AppRequest, error: errors.IntakeError) -> Response:
    """Return the problem document of an error of the service."""
    problem_type = next(PROBLEM_TYPES[cls] for cls in type(error).__mro__ if cls in PROBLEM_TYPES)
    headers = {}
    members: dict[str, object] = {}
    if isinstance(error, errors.AuthenticationRequired):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    after_s = getattr(error, "retry_after_s", RETRY_AFTER_S)
    if problem_type.status in (429, 503) and after_s is not None:
        headers["Retry-After"] = str(after_s)
    if isinstance(error, errors.RequestRejected):
        request.state["metrics"].refused.labels(error.reason).inc()
    if isinstance(error, errors.DatabaseUnavailable):
        log.warning("the database is unavailable: %s", error.reason)
    if isinstance(error, errors.ValidationError):
        members["errors"] = [asdict(fault) for fault in error.faults]
    return problem(
        problem_type.status,
        title=problem_type.title,
        detail=str(error),
        type_=f"{_docs_path(request)}#{problem_type.anchor}",
        headers=headers,
        **members,
    )


def _docs_path(request: AppRequest) -> str:
    """Return the page that explains the problem: the internal one for the internal API and its processes."""
    state = request.state
    is_internal = request.scope["path"].startswith("/internal/") or "public_description" not in state
    return "/internal/docs" if is_internal and "description" in state else "/docs"


def _on_http_exception(request: AppRequest, error: HTTPException) -> Response:
    """Return the problem document of an unknown path or an unsupported method."""
    path, method = request.scope["path"], request.method
    details = {404: f"nothing is served at {path!r}", 405: f"{path!r} does not support {method!r}"}
    return problem(error.status_code, detail=details.get(error.status_code, error.detail), headers=error.headers)

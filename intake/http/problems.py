"""Errors as answers: RFC 9457 problems, from one table of exception class to status."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from intake import errors
from intake.http.request_parsing import json_bytes

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
STOPPING = "the service is being stopped and could not finish this request; send it again"
log = logging.getLogger("intake.http")


@dataclass(frozen=True)
class ProblemType:
    """A kind of problem: its status, its title and the anchor of its description on /docs."""

    status: int
    title: str

    @property
    def anchor(self) -> str:
        """The title as an anchor."""
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
    """Return a problem document; `members` are added to its own."""
    document = {"type": type_, "title": title or HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(json_bytes({**document, **members}), status, headers, MEDIA_TYPE)


def stopping() -> Response:
    """Return the answer to a request that the service can't finish, since it is being stopped."""
    headers = {"Retry-After": str(RETRY_AFTER_S), "Connection": "close"}
    return problem(503, detail=STOPPING, headers=headers)


async def on_intake_error(request: Request, error: Exception) -> Response:
    """Answer an error of the service's own with its kind."""
    assert isinstance(error, errors.IntakeError)
    kind = next(PROBLEM_TYPES[cls] for cls in type(error).__mro__ if cls in PROBLEM_TYPES)
    headers = {}
    members: dict[str, object] = {}
    if isinstance(error, errors.AuthenticationRequired):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    if kind.status in (429, 503):
        headers["Retry-After"] = str(getattr(error, "retry_after_s", RETRY_AFTER_S))
    if isinstance(error, errors.RequestRejected):
        request.scope["state"]["metrics"].refused.labels(error.reason).inc()
    if isinstance(error, errors.DatabaseUnavailable):
        log.warning("the database is away: %s", error.reason)
    if isinstance(error, errors.ValidationError):
        members["errors"] = [asdict(fault) for fault in error.faults]
    return problem(
        kind.status,
        title=kind.title,
        detail=str(error),
        type_=f"/docs#{kind.anchor}",
        headers=headers,
        **members,
    )


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses: an unknown path, a method that a path does not take."""
    assert isinstance(error, HTTPException)
    path, method = request.scope["path"], request.method
    details = {404: f"there is nothing at {path!r}", 405: f"{path!r} does not take {method!r}"}
    return problem(error.status_code, detail=details.get(error.status_code, error.detail), headers=error.headers)


async def on_disconnect(_request: Request, _error: Exception) -> Response:
    """Answer nobody: the client went away before its body was whole."""
    return Response(status_code=400)


async def on_unexpected_error(request: Request, _error: Exception) -> Response:
    """Answer a defect with nothing but the request's id, which stands in the log beside the traceback."""
    request_id = request.scope["state"]["request_id"]
    log.error("request %s failed; its traceback follows", request_id)
    return problem(500, detail="something went wrong here; the log has more", request_id=request_id)


HANDLERS = {
    errors.IntakeError: on_intake_error,
    HTTPException: on_http_exception,
    ClientDisconnect: on_disconnect,
    Exception: on_unexpected_error,
}

"""Responses of the protocol to requests that never reach the application."""

from http import HTTPStatus

from intake.http.problems import RETRY_AFTER_S, problem
from intake.http.security_headers import security_headers

MAX_HEADER_BYTES = 32 * 2**10  # of the request line and all headers
MAX_HEADERS = 100
TOO_MANY_CONNECTIONS = "too many connections are open"
DETAILS = {
    HTTPStatus.BAD_REQUEST: "the request is not valid HTTP",
    HTTPStatus.REQUEST_TIMEOUT: "the request's headers did not arrive in time",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        f"the request's headers are too large: send at most {MAX_HEADERS}, {MAX_HEADER_BYTES} bytes in total"
    ),
}


def raw_response(status: HTTPStatus, detail: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return a problem document as an HTTP/1.1 response that closes the connection."""
    response = problem(status, detail=detail, headers={"Connection": "close"})
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    headers = [*headers, *response.raw_headers, *security_headers(response.raw_headers, path="")]
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])

"""HTTP requests: retries, pagination, and responses as validated values or errors."""

import json
import math
import re
import time
from base64 import b64decode
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import UnionType
from typing import Any, TypeGuard
from urllib.parse import unquote

import httpx2

from leadctl.connections import MAX_BODY_BYTES, MAX_BYTES, ResponseTimer, limit_body
from leadctl.errors import (
    Conflict,
    LeadctlError,
    NotFound,
    PermissionDenied,
    ServerError,
    TryAgain,
    UnexpectedResponse,
    UsageError,
)
from leadctl.settings import MAX_LIST_BYTES

MAX_WAIT_S = 30.0  # in total, for a server that asks to wait
MIN_WAIT_S = 0.5
PAGE = 1000  # the server's maximum
MAX_NUMBER = 2.0**64  # ids are below it; larger ones overflow in calculations

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

Shape = Mapping[str, type | UnionType]

_ERRORS: Mapping[int, type[LeadctlError]] = {
    401: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    408: TryAgain,
    409: Conflict,
    410: NotFound,
    422: UsageError,
    429: TryAgain,
    502: TryAgain,
    503: TryAgain,
    504: TryAgain,
}


def _ignore(_headers: Mapping[str, str]) -> None:
    pass


class Http:
    """Requests to one server; `info` prints messages. Methods raise the LeadctlError for the response's status."""

    def __init__(self, url: str, client: httpx2.Client, *, info: Callable[[str], None]) -> None:
        self._url, self._client, self._info = url, client, info
        self._timer = ResponseTimer()

    @contextmanager
    def stream(
        self, path: str, *, method: str = "GET", expected: Collection[int] = (200,), **content: Any
    ) -> Iterator[httpx2.Response]:
        """Return a response whose body, of any size, has not been read."""
        with self._translated_errors(), ExitStack() as stack:
            with self._timer.limit() as trace:
                unlimited = {MAX_BYTES: None, "trace": trace}
                response = stack.enter_context(self._client.stream(method, path, extensions=unlimited, **content))
                if response.status_code not in expected:
                    limit_body(response, MAX_BODY_BYTES)
                    response.read()
            yield self._check(response, expected=expected)

    def iter_chunks(self, response: httpx2.Response) -> Iterator[bytes]:
        """Yield the body of a streamed response."""
        with self._translated_errors():
            yield from response.iter_bytes()

    def pages(
        self,
        path: str,
        shape: Shape,
        filters: Mapping[str, Any],
        *,
        newest_first: bool,
        limit: int | None,
        on_first: Callable[[Mapping[str, str]], None] = _ignore,
    ) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` records of a list, fetched page by page; `on_first` gets the first page's headers."""
        left, after = limit, 0
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            query = {**filters, "limit": size, "order": "desc" if newest_first else "asc"}
            if after:
                query["after"] = after
            page, has_next = self.records(path, shape, on_headers=on_first, params=query)
            on_first = _ignore
            if len(page) > size:
                raise self.unexpected_response(": it sent more records than requested")
            last = page[-1]["id"] if page else after
            if page and after and (last >= after if newest_first else last <= after):
                raise self.unexpected_response(": its pages repeat")
            yield from page
            if not has_next:
                return
            left, after = None if left is None else left - len(page), last

    def request(
        self,
        method: str,
        path: str,
        *,
        expected: Collection[int] = (200,),
        repeatable: bool = False,
        max_bytes: int = MAX_BODY_BYTES,
        **content: Any,
    ) -> httpx2.Response:
        """Return a response of an expected status, with a body of at most `max_bytes`.

        A GET or `repeatable` (idempotent) request is sent again if the server asks to wait.
        """
        waited, has_responded = 0.0, False
        while True:
            try:
                with self._translated_errors(), self._timer.limit() as trace:
                    extensions = {MAX_BYTES: max_bytes, "trace": trace}
                    response = self._client.request(method, path, extensions=extensions, **content)
            except TryAgain as error:
                if has_responded:  # a failed connection does not mean that nothing reached the server
                    raise TryAgain(str(error)) from None
                raise
            has_responded = True
            pause = _pause_s(response)
            if not (repeatable or method == "GET") or pause is None or waited + pause > MAX_WAIT_S:
                return self._check(response, expected=expected)
            self._info(f"the server asks to wait {math.ceil(pause)} s")
            time.sleep(pause)
            waited += pause

    def json(self, method: str, path: str, **content: Any) -> Any:
        """Return the JSON of a 200 response."""
        return self.parsed(self.request(method, path, **content))

    def parsed(self, response: httpx2.Response) -> Any:
        try:
            value = response.json(parse_int=_number, parse_float=_number, parse_constant=_number)
            if _SURROGATE.search(response.content):  # half of a pair can't be sent or written as UTF-8
                json.dumps(value, ensure_ascii=False).encode()
            return value
        except (ValueError, RecursionError) as error:
            raise self.unexpected_response() from error

    def records(
        self, path: str, shape: Shape, *, on_headers: Callable[[Mapping[str, str]], None] = _ignore, **content: Any
    ) -> tuple[list[dict[str, Any]], bool]:
        """Return the records of a page, and whether there is a next page."""
        response = self.request("GET", path, max_bytes=MAX_LIST_BYTES, **content)
        on_headers(response.headers)
        page = self.parsed(response)
        if not isinstance(page, list) or not all(matches(record, shape) for record in page):
            raise self.unexpected_response()
        return page, bool(page) and "next" in response.links

    def content_range(self, response: httpx2.Response) -> tuple[int, int | None]:
        """Return the offset of the body in the whole file, and the size of the file if the server sends it."""
        if response.status_code != 206:
            length = response.headers.get("content-length", "")
            return 0, int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
        text = response.headers.get("content-range", "")
        if found := re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})", text):
            return int(found[1]), int(found[2])
        raise self.unexpected_response(": a partial response without Content-Range")

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            reason = str(error).rstrip(".") or type(error).__name__
            if "CERTIFICATE_VERIFY_FAILED" in reason:
                raise LeadctlError(
                    f"can't verify the certificate of {self._url}: {reason}. Use --cacert for a private authority"
                ) from error
            raise TryAgain(
                f"no response from {self._url}: {reason}. Is the server running, and the URL correct?"
            ) from error
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self.unexpected_response(f" ({error})") from error

    def _check(self, response: httpx2.Response, *, expected: Collection[int]) -> httpx2.Response:
        status = response.status_code
        if status in expected:
            return response
        error_type = _ERRORS.get(status, ServerError if status >= 500 else LeadctlError)
        is_problem = response.headers.get("content-type", "").startswith("application/problem+json")
        if is_problem and matches(problem := self.parsed(response), {"detail": str}):
            text = _error_text(problem, response.headers.get("retry-after", ""))
        elif error_type is TryAgain or (status >= 500 and not is_problem):  # of a proxy, not the service
            error_type = TryAgain
            text = f"{self._url} responded with {status}; try again in a moment"
        else:
            raise self.unexpected_response(f" ({status})")
        if error_type is UsageError and response.request.method == "GET":  # of a query, whose fields are options
            text = re.sub(r"^(\w+)(\.\d+)?(?=: )", lambda field: _option(field[1]), text)
            if text.startswith("--state: 'ALL' is not a state"):
                text += "; for all leads, leave out --state"
        if error_type is TryAgain:
            raise TryAgain(text, retry_after_s=_retry_after_s(response))
        raise error_type(text)

    def unexpected_response(self, detail: str = "") -> LeadctlError:
        """Return the error for a response that is not from an intake service."""
        return UnexpectedResponse(f"{self._url} does not respond like an intake service{detail}. Is the URL correct?")


def matches(value: Any, shape: Shape) -> TypeGuard[dict[str, Any]]:
    """Return whether the value is an object with these members and types; no number in a response is negative."""
    return isinstance(value, dict) and all(name in value and _fits(value[name], kind) for name, kind in shape.items())


def _fits(value: object, kind: type | UnionType) -> bool:
    if isinstance(value, bool):  # which is an int in Python
        return kind is bool
    return isinstance(value, kind) and not (isinstance(value, int) and value < 0)


def filename(response: httpx2.Response) -> str:
    """Return the `filename*` in Content-Disposition (RFC 6266), which the service always sends."""
    found = re.search(r"filename\*=UTF-8''([^;\s]+)", response.headers.get("content-disposition", ""))
    return unquote(found[1]) if found else ""


def sha256_digest(response: httpx2.Response) -> str:
    """Return the SHA-256 in Repr-Digest (RFC 9530) in hexadecimal."""
    if found := re.search(r"\bsha-256=:([A-Za-z0-9+/]{43}=):", response.headers.get("repr-digest", "")):
        return b64decode(found[1]).hex()
    raise LeadctlError("can't verify the CV: the server sent no SHA-256")


def _number(text: str) -> int | float:
    """Return a number in JSON. Raises ValueError for one that is too large to calculate with, or is not a number."""
    number = float(text)
    if not abs(number) < MAX_NUMBER:
        raise ValueError("not a number of an intake service")
    return int(text) if text.lstrip("-").isdigit() else number


def _pause_s(response: httpx2.Response) -> float | None:
    """Return how long the server asks to wait, in seconds; None if it does not."""
    asked = _retry_after_s(response) if response.status_code in (429, 503) else None
    return None if asked is None else max(asked, MIN_WAIT_S)


def _retry_after_s(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _option(field: str) -> str:
    return "-q" if field == "q" else f"--{field.replace('_', '-')}"


def _error_text(problem: Mapping[str, Any], retry_after: str) -> str:
    detail = str(problem["detail"])
    if request_id := problem.get("request_id"):
        detail += f" (request {request_id})"
    return f"{detail} (retry in {retry_after} s)" if retry_after.isdigit() else detail

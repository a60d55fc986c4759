"""Requests to a server, and what its answers amount to: a value of the shape that was asked for, or an error."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, TypeGuard

import httpx2

from leadctl.connections import MAX_BODY_BYTES, MAX_LIST_BYTES, Bearer, at_most, bound, connect
from leadctl.errors import (
    Conflict,
    LeadctlError,
    NotFound,
    PermissionDenied,
    TryAgain,
    UnexpectedResponse,
    UsageError,
)

LONGEST_WAIT_S = 30.0  # in all, for a server that asks to wait
SHORTEST_WAIT_S = 0.5
PAGE = 1000  # the most that the server gives at once

Shape = Mapping[str, type | UnionType]

_ERRORS: Mapping[int, type[LeadctlError]] = {
    401: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    422: UsageError,
    429: TryAgain,
    502: TryAgain,
    503: TryAgain,
    504: TryAgain,
}


class Http:
    """A server, and the tokens to show it. Every method raises the LeadctlError that its answer amounts to.

    Where `cacert` names a file, its certificates and no others are trusted. Raises Usage where a password or a token
    could be read on its way, unless `insecure_http` allows it. `say` is given what a person may want to know, and a
    `listener` a line for every answer, without secrets.
    """

    def __init__(
        self,
        url: str,
        *,
        bearer: Bearer | None,
        cacert: Path | None,
        insecure_http: bool,
        say: Callable[[str], None],
        listener: Callable[[str], None] | None = None,
    ) -> None:
        self._url = url
        self._say, self._listener = say, listener
        self._client = connect(
            url,
            bearer=bearer,
            cacert=cacert,
            insecure_http=insecure_http,
            listener=self._heard if listener else None,
        )

    def close(self) -> None:
        """End the connections; until then they are kept for the next request."""
        self._client.close()

    def _heard(self, response: httpx2.Response) -> None:
        assert self._listener is not None
        request = response.request
        status = f"{response.status_code} {response.headers.get('x-request-id', '')}".rstrip()
        self._listener(f"{request.method} {request.url} -> {status}")

    @contextmanager
    def stream(
        self, path: str, *, method: str = "GET", expected: Collection[int] = (200,), **content: Any
    ) -> Iterator[httpx2.Response]:
        """Give an answer whose body, of any size, is still to come."""
        with self._told(), self._client.stream(method, path, extensions=at_most(None), **content) as response:
            if response.status_code not in expected:
                bound(response, MAX_BODY_BYTES)
                response.read()
            yield self._check(response, expected=expected)

    def pieces(self, response: httpx2.Response) -> Iterator[bytes]:
        """Yield the body of such an answer as it comes."""
        with self._told():
            yield from response.iter_bytes()

    def pages(
        self,
        path: str,
        shape: Shape,
        filters: Mapping[str, Any],
        *,
        newest_first: bool,
        limit: int | None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the records of a list, at most `limit`, reading them page by page."""
        left, after = limit, 0
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            query = {**filters, "limit": size, "order": "desc" if newest_first else "asc"}
            if after:
                query["after"] = after
            response = self.request("GET", path, expected=200, most=MAX_LIST_BYTES, params=query)
            page = self._page(response, shape, after, newest_first=newest_first)
            if len(page) > size:
                raise self.not_intake(": it sends more than was asked for")
            yield from page
            if not page or "next" not in response.links:
                return
            left = None if left is None else left - len(page)
            after = page[-1]["id"]

    def request(
        self,
        method: str,
        path: str,
        *,
        expected: int | Collection[int],
        repeatable: bool = False,
        most: int = MAX_BODY_BYTES,
        **content: Any,
    ) -> httpx2.Response:
        """Return an answer of the expected status, or of one of them, with a body of `most` bytes at most.

        A GET, and what is `repeatable` since twice comes to the same, is sent again where the server asks to wait.
        """
        statuses = (expected,) if isinstance(expected, int) else expected
        waited = 0.0
        while True:
            with self._told():
                response = self._client.request(method, path, extensions=at_most(most), **content)
            pause = _pause_s(response)
            if not (repeatable or method == "GET") or pause is None or waited + pause > LONGEST_WAIT_S:
                return self._check(response, expected=statuses)
            self._say(f"the server asks to wait {pause:.0f} s")
            time.sleep(pause)
            waited += pause

    def json(self, method: str, path: str, **content: Any) -> Any:
        """Return what a 200 answer's JSON says."""
        return self.parsed(self.request(method, path, expected=200, **content))

    def parsed(self, response: httpx2.Response) -> Any:
        """Return what an answer's JSON says."""
        try:
            return response.json()
        except (ValueError, RecursionError) as error:
            raise self.not_intake() from error

    def records(self, response: httpx2.Response, shape: Shape) -> list[dict[str, Any]]:
        """Return the array of records that an answer holds."""
        page = self.parsed(response)
        if not isinstance(page, list) or not all(has(record, shape) for record in page):
            raise self.not_intake()
        return page

    def _page(self, response: httpx2.Response, shape: Shape, after: int, *, newest_first: bool) -> list[dict[str, Any]]:
        page = self.records(response, shape)
        last = page[-1]["id"] if page else None
        if after and last is not None and (last >= after if newest_first else last <= after):
            raise self.not_intake(": its pages do not go on")
        return page

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise TryAgain(f"no answer from {self._url}: {reason}. Is the server up, and the URL right?") from error
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self.not_intake(f" ({error})") from error

    def _check(self, response: httpx2.Response, *, expected: Collection[int]) -> httpx2.Response:
        status = response.status_code
        if status in expected:
            return response
        kind = _ERRORS.get(status, LeadctlError)
        if response.headers.get("content-type", "").startswith("application/problem+json"):
            problem = self.parsed(response)
            if isinstance(problem, dict) and isinstance(problem.get("detail"), str):
                text = _told_by(problem, response.headers.get("retry-after", ""))
                raise TryAgain(text, retry_after_s=_retry_after_s(response)) if kind is TryAgain else kind(text)
        if kind is TryAgain:  # a proxy's answer, in place of the service's
            text = f"{self._url} answers {status}: try again in a moment"
            raise TryAgain(text, retry_after_s=_retry_after_s(response))
        raise self.not_intake(f" ({status})")

    def not_intake(self, how: str = "") -> LeadctlError:
        """Return the error of an answer that no intake service gives."""
        return UnexpectedResponse(f"{self._url} does not answer as an intake service{how}: is the URL right?")


def has(value: Any, shape: Shape) -> TypeGuard[dict[str, Any]]:
    """Return whether the value is an object with these members, each of its type."""
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in shape.items())


def _pause_s(response: httpx2.Response) -> float | None:
    """Return the seconds that the server asks to wait; None: it does not, or not in seconds."""
    asked = _retry_after_s(response) if response.status_code in (429, 503) else None
    return None if asked is None else max(asked, SHORTEST_WAIT_S)


def _retry_after_s(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _told_by(problem: Mapping[str, Any], retry_after: str) -> str:
    detail = str(problem["detail"])
    if request_id := problem.get("request_id"):
        detail += f" (request {request_id})"
    return f"{detail} (in {retry_after} s)" if retry_after.isdigit() else detail

"""Requests to a server, and what its answers amount to: a value of the shape that was asked for, or an error."""

import ipaddress
import ssl
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, Protocol, TypeGuard
from urllib.request import getproxies, proxy_bypass

import httpx2

from leadctl.errors import Conflict, LeadctlError, NotAllowed, NotFound, NotIntake, TryAgain, Usage

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
LONGEST_WAIT_S = 30.0  # in all, for a server that asks to wait
SHORTEST_WAIT_S = 0.5
PAGE = 1000  # the most that the server gives at once

Shape = Mapping[str, type | UnionType]

_ERRORS: Mapping[int, type[LeadctlError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    422: Usage,
    429: TryAgain,
    502: TryAgain,
    503: TryAgain,
    504: TryAgain,
}


class Bearer(Protocol):
    """Where tokens come from."""

    def token(self) -> str:
        """Return the token to show."""

    def another(self, refused: str) -> str | None:
        """Return a token in place of one that the server refused, where there is another."""


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
        try:
            self._client = httpx2.Client(
                base_url=url,
                auth=_Authorization(bearer) if bearer else None,
                timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                event_hooks={"response": [self._heard]} if listener else {},
                verify=_trusted(url, cacert),
                follow_redirects=False,  # it would show the token, or send the password, to whoever is named there
            )
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
            # the environment's proxies and certificates are read here
            raise LeadctlError(
                f"can't set up connections, look at *_PROXY, SSL_CERT_* and --cacert: {error}"
            ) from error
        if not insecure_http and (how := _readable_on_its_way(self._client.base_url)):
            raise Usage(
                f"a password or token could be read on its way {how}: use https, or allow it with leadctl"
                " --insecure-http or LEADCTL_INSECURE_HTTP=1"
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
        """Give an answer whose body is still to come."""
        with self._told(), self._client.stream(method, path, **content) as response:
            if response.status_code not in expected:
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
            response = self.request("GET", path, expected=200, params=query)
            page = self._page(response, shape, after, newest_first=newest_first)
            yield from page
            if not page or "next" not in response.links:
                return
            left = None if left is None else left - len(page)
            after = page[-1]["id"]

    def request(
        self, method: str, path: str, *, expected: int | Collection[int], repeatable: bool = False, **content: Any
    ) -> httpx2.Response:
        """Return an answer of the expected status, or of one of them.

        A GET, and what is `repeatable` since twice comes to the same, is sent again where the server asks to wait.
        """
        statuses = (expected,) if isinstance(expected, int) else expected
        waited = 0.0
        while True:
            with self._told():
                response = self._client.request(method, path, **content)
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
        return NotIntake(f"{self._url} does not answer as an intake service{how}: is the URL right?")


class _Authorization(httpx2.Auth):
    """Shows a token with each request, the one that is good then, and once more another where it is refused."""

    def __init__(self, bearer: Bearer) -> None:
        self._bearer = bearer

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        token = self._bearer.token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401 and (another := self._bearer.another(token)):
            request.headers["Authorization"] = f"Bearer {another}"
            yield request


def _trusted(url: str, cacert: Path | None) -> ssl.SSLContext | bool:
    if cacert:
        return ssl.create_default_context(cafile=cacert)
    if url.startswith("http://") and not getproxies():
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused: to read the system's certificates takes 25 ms
    return True


def _readable_on_its_way(url: httpx2.URL) -> str | None:
    """Return where a request to the address would pass unencrypted, if it would leave this machine so."""
    if url.scheme == "https":
        return None
    if not _is_loopback(url.host):
        return f"to http://{url.netloc.decode('ascii')}"
    proxies = getproxies()
    proxy = proxies.get("http") or proxies.get("all")
    if proxy is None or proxy_bypass(url.host) or _is_loopback(_host(proxy)):
        return None
    return "to a proxy (leave this host out with NO_PROXY)"


def _host(proxy: str) -> str:
    return httpx2.URL(proxy if "://" in proxy else f"http://{proxy}").host


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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

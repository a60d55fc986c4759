"""HTTP connections: proxies, trusted certificates, tokens and the size of responses."""

import ipaddress
import ssl
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Protocol

import httpx2

from leadctl.errors import LeadctlError, UsageError

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
MAX_BODY_BYTES = 2**20
MAX_LIST_BYTES = 8 * 2**20  # 1,000 records, the most on a page, of 8 KiB

_MOST = "leadctl_max_bytes"


class Bearer(Protocol):
    """Where tokens come from."""

    def token(self) -> str:
        """Return the token to show."""

    def another(self, refused: str) -> str | None:
        """Return a token in place of one that the server refused, where there is another."""


def connect(
    url: str,
    *,
    bearer: Bearer | None,
    cacert: Path | None,
    insecure_http: bool,
    listener: Callable[[httpx2.Response], None] | None,
) -> httpx2.Client:
    """Return a client for the server, which uses no proxy for this machine.

    Raises Usage where a password or a token could be read on its way, unless `insecure_http` allows it.
    """
    try:
        address = httpx2.URL(url)
        is_here = _is_loopback(address.host)
        if address.scheme == "http" and not (is_here or insecure_http):
            raise UsageError(
                f"a password or token could be read on its way to http://{address.netloc.decode('ascii')}: use https,"
                " or allow it with leadctl --insecure-http or LEADCTL_INSECURE_HTTP=1"
            )
        trusted = _trusted(address, cacert, is_here=is_here)
        return httpx2.Client(
            base_url=url,
            auth=_Authorization(bearer) if bearer else None,
            headers={"Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            event_hooks={"response": [_limit, listener] if listener else [_limit]},
            verify=trusted,
            # a transport of its own reads no *_PROXY, so that plain HTTP stays on this machine whatever NO_PROXY says
            transport=httpx2.HTTPTransport(verify=trusted) if is_here else None,
            follow_redirects=False,  # it would show the token, or send the password, to whoever is named there
        )
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
        # the environment's proxies and certificates are read here
        raise LeadctlError(f"can't set up connections, look at *_PROXY, SSL_CERT_* and --cacert: {error}") from error


def at_most(size: int | None) -> dict[str, int | None]:
    """Return a request's extensions that let a response's body have so many bytes (None: any number)."""
    return {_MOST: size}


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


def bound(response: httpx2.Response, most: int) -> None:
    """Let reading the response's body fail once it has more than `most` bytes."""
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = _Bounded(response.stream, most)


class _Bounded(httpx2.SyncByteStream):
    """A body that fails where it has more bytes than it may."""

    def __init__(self, stream: httpx2.SyncByteStream, most: int) -> None:
        self._stream, self._most = stream, most

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._stream:
            size += len(piece)
            if size > self._most:
                raise httpx2.DecodingError(f"its answer is larger than {self._most // 2**20} MiB")
            yield piece

    def close(self) -> None:
        self._stream.close()


def _limit(response: httpx2.Response) -> None:
    """Refuse an encoded body, which may be a thousand times its size, and bound any other. Errors are never long."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise httpx2.DecodingError(f"its answer is encoded as {encoding[:40]!r}, which was not asked for")
    most = response.request.extensions.get(_MOST, MAX_BODY_BYTES) if response.is_success else MAX_BODY_BYTES
    if most is not None:
        bound(response, most)


def _trusted(address: httpx2.URL, cacert: Path | None, *, is_here: bool) -> ssl.SSLContext | bool:
    if cacert:
        return ssl.create_default_context(cafile=cacert)
    if address.scheme == "http" and is_here:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused: to read the system's certificates takes 25 ms
    return True


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

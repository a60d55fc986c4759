"""HTTP connections: proxies, trusted certificates and response size limits."""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any
from weakref import WeakSet

import httpx2

from leadctl.errors import LeadctlError, UsageError
from leadctl.settings import is_loopback_host

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
MAX_RESPONSE_S = 600.0  # for headers and a limited body; a server could send a byte a second
MAX_BODY_BYTES = 2**20
MAX_BYTES = "leadctl_max_bytes"  # extension of a request: the size limit of the response's body, None for no limit


def connect(
    url: str,
    *,
    auth: httpx2.Auth | None,
    cacert: Path | str | None,
    insecure_http: bool,
    log: Callable[[str], None] | None = None,
) -> httpx2.Client:
    """Return an HTTP client for the server; it uses no proxy for loopback addresses.

    If `cacert` names a file, only its certificates are trusted. `log` is called with a line for each response, without
    secrets. Raises UsageError if a password or token would be sent unencrypted, unless `insecure_http` allows it.
    """
    try:
        address = httpx2.URL(url)
        is_loopback = is_loopback_host(address.host)
        if address.scheme == "http" and not (is_loopback or insecure_http):
            raise UsageError(
                f"refusing to send passwords or tokens unencrypted to http://{address.netloc.decode('ascii')};"
                " use https, or allow it with leadctl --insecure-http or LEADCTL_INSECURE_HTTP=1"
            )
        trusted = _trusted(address, cacert, is_loopback=is_loopback)
        return httpx2.Client(
            base_url=url,
            auth=auth,
            headers={"Accept-Encoding": "identity"},  # other bodies are refused; their offsets would differ
            timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            event_hooks={"response": [_limit_response, partial(_log_response, log)] if log else [_limit_response]},
            verify=trusted,
            # a separate transport ignores *_PROXY and NO_PROXY, so that plain HTTP never leaves this machine
            transport=httpx2.HTTPTransport(verify=trusted) if is_loopback else None,
            follow_redirects=False,  # a redirect would forward the token or password to another server
        )
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
        # httpx2 reads the environment here: *_PROXY, NO_PROXY and SSL_CERT_*
        raise LeadctlError(f"invalid connection settings; check *_PROXY, SSL_CERT_* and --cacert: {error}") from error


def limit_body(response: httpx2.Response, max_bytes: int) -> None:
    """Make reading the response's body fail once it has more than `max_bytes` bytes."""
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = _LimitedStream(response.stream, max_bytes)


class ResponseTimer:
    """Limits the duration of responses, counted from the first wait for one, whatever the server sends.

    It shuts down the sockets of its client, because httpx2 only limits the time between two pieces of a response.
    """

    def __init__(self) -> None:
        self._sockets: WeakSet[socket.socket] = WeakSet()

    @contextmanager
    def limit(self) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
        """Yield the `trace` extension of a request. Raises ReadTimeout if its response takes too long."""
        is_late = False

        def end() -> None:
            nonlocal is_late
            is_late = True
            self._shut_down()

        timer = Timer(MAX_RESPONSE_S, end)
        timer.daemon = True

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event.endswith(("connect_tcp.complete", "start_tls.complete")):
                self._sockets.add(info["return_value"].get_extra_info("socket"))
            elif event.endswith("receive_response_headers.started") and timer.ident is None:
                timer.start()

        try:
            yield trace
        except httpx2.TransportError:
            if not is_late:
                raise
        finally:
            timer.cancel()
        if is_late:  # also without an error: a body of unknown length ends with the connection
            raise httpx2.ReadTimeout(f"its response took longer than {MAX_RESPONSE_S:g} s")

    def _shut_down(self) -> None:
        for one in list(self._sockets):
            with suppress(OSError):  # closed already
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # SSLSocket's own would wait for its reader


class _LimitedStream(httpx2.SyncByteStream):
    """A response body with a limit on its size."""

    def __init__(self, stream: httpx2.SyncByteStream, max_bytes: int) -> None:
        self._stream, self._max_bytes = stream, max_bytes

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._stream:
            size += len(chunk)
            if size > self._max_bytes:
                raise httpx2.DecodingError(f"its response is larger than {self._max_bytes // 2**20} MiB")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _limit_response(response: httpx2.Response) -> None:
    """Reject encoded bodies, which may expand a thousandfold, and limit the size of others."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise httpx2.DecodingError(f"its response has the encoding {encoding[:40]!r}, which was not requested")
    max_bytes = MAX_BODY_BYTES
    if response.is_success:
        max_bytes = response.request.extensions.get(MAX_BYTES, MAX_BODY_BYTES)
    if max_bytes is not None:
        limit_body(response, max_bytes)


def _log_response(log: Callable[[str], None], response: httpx2.Response) -> None:
    request = response.request
    status = f"{response.status_code} {response.headers.get('x-request-id', '')}".rstrip()
    log(f"leadctl: {request.method} {request.url} -> {status}")


def _trusted(address: httpx2.URL, cacert: Path | str | None, *, is_loopback: bool) -> ssl.SSLContext | bool:
    if cacert:
        return ssl.create_default_context(cafile=cacert)
    if address.scheme == "http" and is_loopback:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused; loading the system's certificates takes 25 ms
    return True

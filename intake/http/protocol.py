"""Limits of connections: number, header size, timeouts. uvicorn's one timer is reset by any received byte."""

import asyncio
import logging
import socket
import sys
from collections import Counter
from http import HTTPStatus

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from intake.http.access_log import new_request_id
from intake.http.client_address import find_client
from intake.http.problems import STOPPING
from intake.http.raw_responses import (
    DETAILS,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    TOO_MANY_CONNECTIONS,
    raw_response,
)
from intake.metrics import Metrics
from intake.settings import Settings

if sys.platform != "win32":
    import resource

MAX_PIPELINED = 16  # requests that wait for an earlier response on the same connection
MAX_SMALL_CHUNKS, MIN_CHUNK_BYTES = 1_000, 64  # of a body: it may have as many chunks more as it has 64 bytes
STALLED_S = 60.0  # the longest that a client may read nothing of its response
MAX_QUEUED_BYTES = 128 * 2**10  # of a response in the kernel, not yet sent
LINGER_S = 2.0  # for the client to read a refusal: closing with unread bytes causes a reset, which discards it
MAX_LINGERING = 64
FIRST_REQUEST_S = 1.0  # for the request of a connection that is new when the server stops
STOP_MARGIN_S = 1.0  # between a read refusal and the end of the server's grace period
CHECK_EVERY_S = 0.25
WARN_EVERY_S = 10.0
FRAMING = (b"content-length", b"transfer-encoding")
_OVER_LIMITS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE}
OTHER_FILES = 256  # databases, uploads and mails, beside the connections

log = logging.getLogger("intake.http.protocol")


class ConnectionLimiter:
    """Limits the open connections, and checks each of them for timeouts.

    One client may have a tenth of them; trusted proxies and clients exempt from rate limits count only in the total.
    """

    def __init__(self, settings: Settings, metrics: Metrics, *, stalled_s: float = STALLED_S) -> None:
        self.header_timeout_s = settings.header_timeout_s
        self.stalled_s = stalled_s
        self._max_connections = settings.max_connections
        self._max_per_client = settings.connections_of_client
        self._exempt = settings.unbounded_clients
        self._admitted: dict[LimitedHttpProtocol, str] = {}
        self._by_client: Counter[str] = Counter()
        self._lingering: set[LimitedHttpProtocol] = set()
        self._is_check_scheduled = False
        self.count_refusal = metrics.refused.labels
        self._refused = 0
        self._warned_at = 0.0

    def admit(self, connection: "LimitedHttpProtocol") -> bool:
        """Add a connection, and return whether the limits allow it."""
        client = find_client({"client": connection.client, "headers": []}, ())
        key = "" if client.is_in(self._exempt) else client.key
        if len(self._admitted) >= self._max_connections or (key and self._by_client[key] >= self._max_per_client):
            self._refused += 1
            self.count_refusal("connections").inc()
            return False
        self._admitted[connection] = key
        self._by_client[key] += 1
        self._schedule_check(connection.loop)
        return True

    def linger(self, connection: "LimitedHttpProtocol") -> bool:
        """Return whether a closing connection may wait until its last response is read."""
        if connection not in self._admitted and len(self._lingering) >= MAX_LINGERING:
            return False
        self._lingering.add(connection)
        self._schedule_check(connection.loop)
        return True

    def release(self, connection: "LimitedHttpProtocol") -> None:
        """Remove a connection."""
        self._lingering.discard(connection)
        if (key := self._admitted.pop(connection, None)) is not None:
            self._by_client[key] -= 1
            if not self._by_client[key]:
                del self._by_client[key]

    def _schedule_check(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_check_scheduled and (self._admitted or self._lingering or self._refused):
            self._is_check_scheduled = True
            loop.call_later(CHECK_EVERY_S, self._check, loop)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_check_scheduled = False
        self._schedule_check(loop)
        now = loop.time()
        for connection in {*self._admitted, *self._lingering}:
            connection.check_timeouts(now)
        if self._refused and now - self._warned_at >= WARN_EVERY_S:
            log.warning("connections refused: %d; open: %d", self._refused, len(self._admitted))
            self._refused, self._warned_at = 0, now


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection. `_deadline` limits the wait for the next data: a request's headers, or its body during a stop."""

    limiter: ConnectionLimiter

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._running: RequestResponseCycle | None = None  # the request in progress; `cycle` is the last one received
        self._is_closing = False  # received data is discarded
        self._ignores_upgrade = False  # the parser is the second one, which has read the head already
        self._in_headers = True
        self._has_message = False
        self._header_bytes = self._body_bytes = self._chunks = 0
        self._has_event = False
        self._buffered_bytes = 0  # in the parser, without an event so far
        self._unsent_bytes = 0
        self._sent_at = self.loop.time()
        self._refusal, self._detail = HTTPStatus.BAD_REQUEST, DETAILS[HTTPStatus.BAD_REQUEST]
        self._deadline: float | None = self.loop.time() + self.limiter.header_timeout_s
        self._body_deadline: float | None = None  # once the server stops
        _limit_send_queue(transport)
        if not self.limiter.admit(self):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, TOO_MANY_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        self.limiter.release(self)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True  # uvicorn notifies only the last one; an earlier one would fail to write
            self._running.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        if self._in_headers:
            self._expect_headers()
        self._has_event = False
        self._data = data
        super().data_received(data)
        self._data = b""
        self._buffered_bytes = 0 if self._has_event else self._buffered_bytes + len(data)
        if self._buffered_bytes > MAX_HEADER_BYTES:  # headers, trailers or chunk extensions
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        if self._ignores_upgrade:
            return
        super().on_message_begin()
        self._has_message = True
        self._header_bytes = self._body_bytes = self._chunks = 0
        self._expect_headers()

    def on_url(self, url: bytes) -> None:
        if self._ignores_upgrade:
            return
        super().on_url(url)
        self._count_header_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_headers or self._ignores_upgrade:
            return  # a trailer, which uvicorn would add to the headers already checked
        super().on_header(name, value)
        if self.headers[-1][0] == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise ValueError("a transfer encoding other than chunked")  # which the parser accepts before it
        self._count_header_bytes(len(name) + len(value) + len(b": \r\n"))

    def on_headers_complete(self) -> None:
        if self._ignores_upgrade:
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many pipelined requests")
        super().on_headers_complete()
        if self._body_deadline is not None:
            self.cycle.keep_alive = False
        if self.scope["http_version"] == "1.0":
            self.cycle.waiting_for_100_continue = False  # RFC 9110, section 10.1.1
        self._in_headers = False
        self._has_event = True
        self._deadline = self._body_deadline

    def on_chunk_header(self) -> None:
        """Refuse many small chunks: each takes as much of the event loop's time as a large one."""
        self._chunks += 1
        if self._chunks > MAX_SMALL_CHUNKS + self._body_bytes / MIN_CHUNK_BYTES:
            self._detail = f"the body has too many small chunks: send at least {MIN_CHUNK_BYTES} bytes in each"
            raise ValueError(self._detail)

    def on_body(self, body: bytes) -> None:
        self._has_event = True
        self._body_bytes += len(body)
        if self.cycle.body or self.cycle.response_complete:
            held: object = self.cycle.body
            if isinstance(held, bytes):
                self.cycle.body = bytearray(held)  # appending to bytes would copy them each time
            super().on_body(body)
            return
        # uvicorn would copy it to a bytearray and back, and pause reading even if the application waits for data
        self.cycle.body = body  # type: ignore[assignment]
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # only its head is complete
        super().on_message_complete()
        self._in_headers = True
        self._has_message = False
        self._has_event = True
        self._deadline = None
        if self._ignores_upgrade:
            self._close_after_response()

    def shutdown(self) -> None:
        """Allow a body to arrive for most of the grace period, and a first request for a second; called by uvicorn.

        A proxy may have connected to send a request, which it would not repeat if the connection were closed.
        """
        grace_s = (self.config.timeout_graceful_shutdown or 0) - LINGER_S - STOP_MARGIN_S
        self._body_deadline = self.loop.time() + max(grace_s, 0)
        is_new = self.cycle is None
        if is_new and not self._is_closing:
            self._deadline = min(self._body_deadline, self.loop.time() + FIRST_REQUEST_S)
            return
        super().shutdown()
        if self._is_receiving and not self._is_closing:
            self._deadline = self._body_deadline

    @property
    def _is_receiving(self) -> bool:
        cycle = self.cycle
        return cycle is not None and cycle.more_body and not (cycle.response_started or self._in_headers)

    def check_timeouts(self, now: float) -> None:
        """Close the connection after a timeout; called every CHECK_EVERY_S seconds."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent_bytes:
            self._unsent_bytes, self._sent_at = unsent, now
        if now - self._sent_at >= self.limiter.stalled_s:
            self.transport.abort()
        elif self._deadline is not None and now >= self._deadline:
            self._on_timeout(now)

    def send_400_response(self, _msg: str) -> None:
        """Refuse a request that can't be parsed or has too large headers; called by uvicorn."""
        self._refuse(self._refusal, self._detail)

    def _unsupported_upgrade_warning(self) -> None:
        """Ignore the upgrade, read the body, and close after the response. Called by uvicorn in its `except`.

        The parser ends at the head of such a request. A second one reads the body by the same rules, from a head with
        the original's framing, and refuses data behind it.
        """
        upgrade = sys.exception()
        assert isinstance(upgrade, HttpParserUpgrade)
        [head_size] = upgrade.args
        framing = [name + b": " + value + b"\r\n" for name, value in self.headers if name in FRAMING]
        self.cycle.keep_alive = False
        self._ignores_upgrade, self.parser = True, HttpRequestParser(self)
        head = b"POST / HTTP/1.1\r\nConnection: close\r\n" + b"".join(framing) + b"\r\n"
        super().data_received(head + self._data[head_size:])

    def _expect_headers(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.time() + self.limiter.header_timeout_s

    def _count_header_bytes(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._detail = DETAILS[self._refusal]
            raise ValueError("too many headers")

    def _on_timeout(self, now: float) -> None:
        if self._in_headers and self.flow.read_paused:
            self._deadline = now + self.limiter.header_timeout_s  # reading is paused by this server
        elif self._in_headers and self._has_message and not self._is_closing:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self._is_receiving and not self._is_closing:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, STOPPING)
        else:
            self._deadline = None
            self.transport.close()

    def _refuse(self, status: HTTPStatus, detail: str | None = None) -> None:
        """Refuse the current request and close, unless a response to an earlier request is still pending."""
        if self._is_closing:
            return
        is_responding = self.cycle is not None and not self.cycle.response_complete
        if is_responding and not self.cycle.more_body:
            self._close_after_response()
        elif is_responding and (self.cycle.response_started or self.pipeline):
            self.transport.abort()
        else:
            self._respond_and_close(status, detail or DETAILS[status])

    def _close_after_response(self) -> None:
        self._is_closing = True
        self._deadline = None
        self.cycle.keep_alive = False

    def _respond_and_close(self, status: HTTPStatus, detail: str) -> None:
        self._is_closing = True
        request_id = new_request_id()
        if self.cycle is not None:  # ends the wait for an incomplete body
            if not self.cycle.response_complete:
                request_id = self.cycle.scope["state"].get("request_id", request_id)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.flow.resume_reading()
        if detail is not TOO_MANY_CONNECTIONS:  # these are logged as a count, so that a flood does not fill the log
            log.info("refused by the protocol: %d %s", status, request_id)
        if status in _OVER_LIMITS:
            self.limiter.count_refusal("headers").inc()
        headers = [header for header in self.server_state.default_headers if header[0] != b"connection"]
        headers.append((b"X-Request-ID", request_id.encode()))
        self.transport.write(raw_response(status, detail, headers))
        if not self.limiter.linger(self):
            self.transport.close()
            return
        self._deadline = self.loop.time() + LINGER_S
        self.transport.write_eof()


def limited_protocol(connections: ConnectionLimiter) -> type[LimitedHttpProtocol]:
    """Return the protocol class for uvicorn, which creates one object for each connection."""
    return type("LimitedHttpProtocol", (LimitedHttpProtocol,), {"limiter": connections})


def _limit_send_queue(transport: asyncio.Transport) -> None:
    """Limit the kernel's send queue: by default it refills megabytes by thirds, and a slow reader seems stalled."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, MAX_QUEUED_BYTES)


def raise_open_file_limit(connections: int) -> None:
    """Raise the limit of open files to that of the connections, or warn if the system does not allow it."""
    if sys.platform == "win32":
        return
    wanted = connections + MAX_LINGERING + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning(
            "the limit of open files is %d, and INTAKE_MAX_CONNECTIONS needs %d; raise it with ulimit -n",
            allowed,
            wanted,
        )

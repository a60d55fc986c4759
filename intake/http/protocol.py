"""Connections, bounded in number, in what their requests' headers hold, and in how long each may be waited for.

uvicorn parses requests and answers them, and has no such bounds: a timer of its own ends a connection between two
requests, and any byte at all resets it.
"""

import asyncio
import logging
import socket
import sys
from collections import Counter
from http import HTTPStatus

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
from intake.settings import Settings

if sys.platform != "win32":
    import resource

MAX_PIPELINED = 16  # requests that wait for the answer to another on the same connection
STALLED_S = 60.0  # for a reader to take anything at all of its answer
MAX_QUEUED_BYTES = 128 * 2**10  # of an answer that the system holds and has not sent yet
LINGER_S = 2.0  # for a refusal to be read: a connection that is closed over unread bytes takes its answer with it
MAX_LINGERING = 64
STOP_MARGIN_S = 1.0  # between a refusal that has been read and the end of the server's patience
LOOK_EVERY_S = 0.25
WARN_EVERY_S = 10.0
OTHER_FILES = 256  # that the process has open beside its connections: databases, uploads, mails

log = logging.getLogger("intake.http.protocol")


class ConnectionLimiter:
    """The open connections: as many as the settings allow, each looked at again and again.

    Of one client there may be a tenth; trusted proxies, and who is exempt from rate limits, count in the whole alone.
    """

    def __init__(self, settings: Settings, *, stalled_s: float = STALLED_S) -> None:
        self.header_timeout_s = settings.header_timeout_s
        self.stalled_s = stalled_s
        self._most = settings.max_connections
        self._most_of_client = settings.connections_of_client
        self._unbounded = settings.unbounded_clients
        self._admitted: dict[LimitedHttpProtocol, str] = {}
        self._of_client: Counter[str] = Counter()
        self._lingering: set[LimitedHttpProtocol] = set()
        self._is_looking = False
        self._refused = 0
        self._warned_at = 0.0

    def admit(self, connection: "LimitedHttpProtocol") -> bool:
        """Return whether there is room for one more, which is then taken."""
        client = find_client({"client": connection.client, "headers": []}, ())
        key = "" if client.is_in(self._unbounded) else client.key
        if len(self._admitted) >= self._most or (key and self._of_client[key] >= self._most_of_client):
            self._refused += 1
            return False
        self._admitted[connection] = key
        self._of_client[key] += 1
        self._keep_looking(connection.loop)
        return True

    def linger(self, connection: "LimitedHttpProtocol") -> bool:
        """Return whether a connection that is to end may still wait for its last answer to be read."""
        if connection not in self._admitted and len(self._lingering) >= MAX_LINGERING:
            return False
        self._lingering.add(connection)
        self._keep_looking(connection.loop)
        return True

    def release(self, connection: "LimitedHttpProtocol") -> None:
        """Give back what a connection took."""
        self._lingering.discard(connection)
        if (key := self._admitted.pop(connection, None)) is not None:
            self._of_client[key] -= 1
            if not self._of_client[key]:
                del self._of_client[key]

    def _keep_looking(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_looking and (self._admitted or self._lingering or self._refused):
            self._is_looking = True
            loop.call_later(LOOK_EVERY_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_looking = False
        self._keep_looking(loop)
        now = loop.time()
        for connection in {*self._admitted, *self._lingering}:
            connection.look(now)
        if self._refused and now - self._warned_at >= WARN_EVERY_S:
            log.warning("connections refused: %d; open: %d", self._refused, len(self._admitted))
            self._refused, self._warned_at = 0, now


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection: a request's headers, its body, the next one's headers; `_due` ends the wait for what is next."""

    bounds: ConnectionLimiter

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._running: RequestResponseCycle | None = None  # what is being answered: `cycle` is what came last
        self._is_deaf = False  # nothing more is read of a connection that is to end
        self._in_headers = True
        self._has_begun = False
        self._header_bytes = 0
        self._has_yielded = False
        self._held_bytes = 0  # fed to the parser, which has made nothing of it yet
        self._unsent_bytes = 0
        self._sent_at = self.loop.time()
        self._refusal = HTTPStatus.BAD_REQUEST
        self._due: float | None = self.loop.time() + self.bounds.header_timeout_s
        _keep_queue_short(transport)
        if not self.bounds.admit(self):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, TOO_MANY_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        self.bounds.release(self)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True  # uvicorn tells only the last, and an earlier one would fail at writing
            self._running.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._in_headers:
            self._expect_headers()
        self._has_yielded = False
        super().data_received(data)
        self._held_bytes = 0 if self._has_yielded else self._held_bytes + len(data)
        if self._held_bytes > MAX_HEADER_BYTES:  # headers, or what stands around a body: trailers, chunks' extensions
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._has_begun = True
        self._header_bytes = 0
        self._expect_headers()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_headers:
            return  # a trailer: uvicorn would add it to headers that have been looked at
        super().on_header(name, value)
        self._count(len(name) + len(value) + len(b": \r\n"))

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests wait")
        super().on_headers_complete()
        self._in_headers = False
        self._has_yielded = True
        self._due = None

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._has_yielded = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_headers = True
        self._has_begun = False
        self._has_yielded = True
        self._due = None

    def shutdown(self) -> None:
        """Let a body go on arriving for most of the time until a stop is forced; called by uvicorn."""
        super().shutdown()
        if self._is_receiving and not self._is_deaf:
            patience_s = (self.config.timeout_graceful_shutdown or 0) - LINGER_S - STOP_MARGIN_S
            self._due = self.loop.time() + max(patience_s, 0)

    @property
    def _is_receiving(self) -> bool:
        cycle = self.cycle
        return cycle is not None and cycle.more_body and not (cycle.response_started or self._in_headers)

    def look(self, now: float) -> None:
        """End what has gone on for too long; called again and again while the connection is open."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent_bytes:
            self._unsent_bytes, self._sent_at = unsent, now
        if now - self._sent_at >= self.bounds.stalled_s:
            self.transport.abort()
        elif self._due is not None and now >= self._due:
            self._end_wait(now)

    def send_400_response(self, _msg: str) -> None:
        """End a connection whose request can't be parsed, or whose headers are too long; called by uvicorn."""
        self._refuse(self._refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """Answer as if nothing had been asked for; called by uvicorn. What follows is for another protocol's parser."""
        self._close_after_answer()

    def _expect_headers(self) -> None:
        if self._due is None:
            self._due = self.loop.time() + self.bounds.header_timeout_s

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("too many headers")

    def _end_wait(self, now: float) -> None:
        if self._in_headers and self.flow.read_paused:
            self._due = now + self.bounds.header_timeout_s  # it is we who do not read
        elif self._in_headers and self._has_begun and not self._is_deaf:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self._is_receiving and not self._is_deaf:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, STOPPING)
        else:
            self._due = None
            self.transport.close()

    def _refuse(self, status: HTTPStatus, detail: str | None = None) -> None:
        """Answer what can't be gone on with, unless the answer to a request before it is still to come, and end it."""
        if self._is_deaf:
            return
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering and not self.cycle.more_body:
            self._close_after_answer()
        elif is_answering and (self.cycle.response_started or self.pipeline):
            self.transport.abort()
        else:
            self._answer(status, detail or DETAILS[status])

    def _close_after_answer(self) -> None:
        self._is_deaf = True
        self._due = None
        self.cycle.keep_alive = False

    def _answer(self, status: HTTPStatus, detail: str) -> None:
        self._is_deaf = True
        request_id = new_request_id()
        if self.cycle is not None:  # a body that broke off is waited for no longer
            if not self.cycle.response_complete:
                request_id = self.cycle.scope["state"].get("request_id", request_id)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.flow.resume_reading()
        if detail is not TOO_MANY_CONNECTIONS:  # those are counted, and a flood of them would fill the log
            log.info("refused by the server: %d %s", status, request_id)
        headers = [*self.server_state.default_headers, (b"X-Request-ID", request_id.encode())]
        self.transport.write(raw_response(status, detail, headers))
        if not self.bounds.linger(self):
            self.transport.close()
            return
        self._due = self.loop.time() + LINGER_S
        self.transport.write_eof()


def limited_protocol(connections: ConnectionLimiter) -> type[LimitedHttpProtocol]:
    """Return the class of those connections, as uvicorn is given it: it makes one object for each."""
    return type("LimitedHttpProtocol", (LimitedHttpProtocol,), {"bounds": connections})


def _keep_queue_short(transport: asyncio.Transport) -> None:
    """Have the system take no more than it can send soon.

    It would take megabytes, ask for more once a third of them is gone, and make a slow reader look like none meanwhile.
    """
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, MAX_QUEUED_BYTES)


def raise_open_file_limit(connections: int) -> None:
    """Let the process hold open as many files as that many connections need, or warn that it may not."""
    if sys.platform == "win32":
        return
    wanted = connections + MAX_LINGERING + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("%d files may be open, and INTAKE_MAX_CONNECTIONS needs %d: raise the limit", allowed, wanted)

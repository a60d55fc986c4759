"""The path of every request: its ID, limits, route, errors, response headers, access log and metrics."""

import asyncio
import logging
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake.errors import IntakeError
from intake.http.access_log import AccessLog, Entry, new_request_id
from intake.http.body_timeout import RequestBody
from intake.http.client_address import ForwardingMonitor, find_client, find_request_id
from intake.http.concurrency import ConcurrencyLimiter
from intake.http.problems import is_unexpected, on_error, on_intake_error, stopping
from intake.http.request_state import AppRequest
from intake.http.routing import RouteTable
from intake.http.security_headers import security_headers
from intake.http.trusted_hosts import TrustedHosts
from intake.metrics import Metrics
from intake.settings import Settings

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = logging.getLogger("intake.http.gateway")


class Gateway:
    """The service as an ASGI application. `lifespan` gets the messages of the server's start and stop.

    Requests to a path in `middleware` pass through that ASGI application, which passes them on to `respond`.
    """

    def __init__(
        self,
        routes: RouteTable,
        settings: Settings,
        *,
        metrics: Metrics,
        log: AccessLog,
        forwarding: ForwardingMonitor,
        lifespan: ASGIApp,
    ) -> None:
        self.middleware: Mapping[str, ASGIApp] = {}
        self._forwarding = forwarding
        self._routes, self._settings, self._metrics, self._log = routes, settings, metrics, log
        self._lifespan = lifespan
        self._concurrency, self._hosts = ConcurrencyLimiter(settings), TrustedHosts(settings.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._lifespan(scope, receive, send)
            return
        client = find_client(scope, self._settings.trusted_proxies)
        self._forwarding.observe(client)
        headers = dict(scope["headers"])
        request_id = find_request_id(scope, headers, self._settings.trusted_proxies) or new_request_id()
        exchange = _Exchange(scope, RequestBody(headers, receive, send, self._settings), request_id)
        scope.setdefault("state", {}).update(
            request_id=exchange.request_id, client=client, response_headers=exchange.headers
        )
        self._metrics.in_progress += 1
        try:
            with self._concurrency.acquire(client) as busy:
                if error := busy or self._hosts.error(scope):
                    await on_intake_error(AppRequest(scope), error)(scope, receive, exchange.send)
                else:
                    await self.middleware.get(scope["path"], self.respond)(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if exchange.status is not None:
                raise
            await stopping()(scope, receive, exchange.send)  # uvicorn cancels requests when its grace period ends
        finally:
            self._metrics.in_progress -= 1
            self._record(exchange)

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the operation and send its response, or that of its error; an unexpected error is raised, too.

        An expected error while the response is sent, such as a lead that is erased meanwhile, ends it incomplete.
        """
        request = AppRequest(scope, receive)
        try:
            response = await self._routes.find(scope)(request)
        except Exception as error:
            response = on_error(request, error)
            await response(scope, receive, send)
            if is_unexpected(error):
                raise
        else:
            try:
                await response(scope, receive, send)
            except IntakeError as error:
                log.warning("response to %s is incomplete: %s", scope["state"]["request_id"], error)

    def _record(self, exchange: "_Exchange") -> None:
        """Record a request in the metrics and the log."""
        scope, status, seconds = exchange.scope, exchange.status or 500, time.perf_counter() - exchange.started_at
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(scope.get("route_path", "none"), method, str(status)).observe(seconds)
        if status == 500:
            self._metrics.errors.inc()
        self._log.add(Entry(scope["method"], scope["path"], status, seconds, exchange.request_id))


class _Exchange:
    """A request, and the status of its response once it has started. `headers` are added to those of the response."""

    def __init__(self, scope: Scope, body: RequestBody, request_id: str) -> None:
        self.scope, self.request_id = scope, request_id
        self.headers: dict[str, str] = {}
        self.started_at = time.perf_counter()
        self.status: int | None = None
        self.receive = body.receive
        self._body = body

    async def send(self, message: Message) -> None:
        """Send a message of the response, with the headers of every response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            added = {"x-request-id": self.request_id, **self.headers}
            headers = [*message.get("headers", ()), *((k.lower().encode(), v.encode()) for k, v in added.items())]
            message = {**message, "headers": headers + security_headers(headers, path=self.scope["path"])}
        await self._body.send(message)

"""Request ID, access log and metrics."""

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake.http.client_address import ForwardingMonitor, find_client
from intake.http.problems import stopping
from intake.http.security_headers import add_security_headers
from intake.metrics import Metrics
from intake.settings.parsers import Network

log = logging.getLogger("intake.access")


def new_request_id() -> str:
    """Return a random request ID."""
    return secrets.token_hex(8)


class AccessLogMiddleware:
    """Gives each request an ID, and records its response in the log and the metrics.

    The log has the path without its query, since queries contain names of people.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, trusted_proxies: Sequence[Network], forwarding: ForwardingMonitor
    ) -> None:
        self._app = app
        self._forwarding = forwarding
        self._metrics = metrics
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_request_id()
        client = find_client(scope, self._trusted_proxies)
        self._forwarding.observe(client)
        fields: dict[str, str] = {}
        scope.setdefault("state", {}).update(request_id=request_id, client=client, response_headers=fields)
        started_at = time.perf_counter()
        status, has_started = 500, False
        self._metrics.in_progress += 1

        async def send_and_record(message: Message) -> None:
            nonlocal status, has_started
            if message["type"] == "http.response.start":
                status, has_started = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers.update(fields)
                add_security_headers(headers, path=scope["path"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_record)
        except asyncio.CancelledError:
            if has_started:
                raise
            await stopping()(scope, receive, send_and_record)  # uvicorn cancels requests when its grace period ends
        finally:
            self._metrics.in_progress -= 1
            seconds = time.perf_counter() - started_at
            route = scope.get("route_path", "none")
            self._metrics.requests.labels(route, _method_label(scope["method"]), str(status)).observe(seconds)
            path = scope["path"].encode("unicode_escape").decode("ascii")
            log.info("%s %s %d %.0f ms %s", scope["method"], path, status, seconds * 1000, request_id)


def _method_label(method: str) -> str:
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"

"""What is seen of every request: an id, a line in the log, a measurement."""

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
    """Return a random id for one request."""
    return secrets.token_hex(8)


class AccessLogMiddleware:
    """Gives each request an id of its own, and writes down how it was answered.

    The log's line has the path without its query, since queries hold people's names.
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
        self._forwarding.look_at(client)
        fields: dict[str, str] = {}
        scope.setdefault("state", {}).update(request_id=request_id, client=client, response_headers=fields)
        began = time.perf_counter()
        status, is_answered = 500, False
        self._metrics.in_progress += 1

        async def send_observed(message: Message) -> None:
            nonlocal status, is_answered
            if message["type"] == "http.response.start":
                status, is_answered = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers.update(fields)
                add_security_headers(headers, path=scope["path"])
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        except asyncio.CancelledError:
            if is_answered:
                raise
            await stopping()(scope, receive, send_observed)  # the server cancels what it can wait for no longer
        finally:
            self._metrics.in_progress -= 1
            seconds = time.perf_counter() - began
            route = scope.get("route_path", "none")
            self._metrics.requests.labels(route, _known(scope["method"]), str(status)).observe(seconds)
            path = scope["path"].encode("unicode_escape").decode("ascii")
            log.info("%s %s %d %.0f ms %s", scope["method"], path, status, seconds * 1000, request_id)


def _known(method: str) -> str:
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"

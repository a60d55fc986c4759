"""Limit of concurrent requests per client."""

from collections import Counter

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from intake.errors import ServiceBusy
from intake.http.problems import on_intake_error
from intake.settings import Settings


class ConcurrencyLimitMiddleware:
    """Refuses requests of a client beyond the number of connections that it may have.

    Connections are limited when they are opened, but those of a proxy are exempt: one client behind it could fill them
    with slow bodies.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._max_requests = settings.connections_of_client
        self._exempt = settings.unbounded_clients
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (client := scope["state"]["client"]).is_in(self._exempt):
            await self._app(scope, receive, send)
        elif self._running[client.key] >= self._max_requests:
            busy = ServiceBusy("too many concurrent requests from this address; try again later", reason="requests")
            response = await on_intake_error(Request(scope), busy)
            await response(scope, receive, send)
        else:
            await self._counted(client.key, scope, receive, send)

    async def _counted(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._running[key] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]

"""How many requests of one client may be under way, however they come."""

from collections import Counter

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from intake.errors import ServiceBusy
from intake.http.problems import on_intake_error
from intake.settings import Settings


class ConcurrencyLimitMiddleware:
    """Refuses a client's requests past as many as it may have connections.

    Connections are bounded as they are opened; but behind a proxy all of them are the proxy's, and one client's slow
    bodies would fill them.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._most = settings.connections_of_client
        self._unbounded = settings.unbounded_clients
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (client := scope["state"]["client"]).is_in(self._unbounded):
            await self._app(scope, receive, send)
        elif self._under_way[client.key] >= self._most:
            busy = ServiceBusy("too many requests from this address are under way; try again later", reason="requests")
            answer = await on_intake_error(Request(scope), busy)
            await answer(scope, receive, send)
        else:
            await self._counted(client.key, scope, receive, send)

    async def _counted(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._under_way[key] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

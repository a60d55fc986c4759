"""The HTTP server, and the grace period of a shutdown."""

import logging
import os
import socket
import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from intake.http.protocol import ConnectionLimiter, limited_protocol
from intake.processes import BACKLOG
from intake.settings import Settings

KEEP_ALIVE_S = 5
CANCEL_WITHIN_S = 2  # of the grace period: to answer what is cancelled, and to release what the workers have claimed

log = logging.getLogger("intake")


class Server(uvicorn.Server):
    """A server whose requests and workers finish at the same time, within INTAKE_SHUTDOWN_GRACE."""

    def __init__(self, service: ASGIApp, settings: Settings, *, on_started: Callable[[], None] = lambda: None) -> None:
        config = uvicorn.Config(
            service,
            host=settings.host,
            port=settings.port,
            http=limited_protocol(ConnectionLimiter(settings)),
            loop="asyncio",  # uvloop accepts one connection per iteration, so a flood keeps others out for seconds
            ws="none",
            proxy_headers=False,  # by default uvicorn trusts X-Forwarded-For from any local peer
            access_log=False,
            log_config=None,
            server_header=False,
            backlog=1 if settings.processes > 1 else BACKLOG,  # see SharedSocket
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(settings.shutdown_grace_s) - CANCEL_WITHIN_S,
        )
        super().__init__(config)
        self._grace_s = settings.shutdown_grace_s
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving; called by uvicorn."""
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and finish the requests; called by uvicorn."""
        limit_shutdown(self._grace_s)
        if workers := self.lifespan.state.get("worker"):
            workers.stop()
        await super().shutdown(sockets)


def limit_shutdown(grace_s: float) -> None:
    """End the process in `grace_s` seconds, whatever its threads then wait for."""

    def end() -> None:
        log.error("the shutdown took longer than INTAKE_SHUTDOWN_GRACE; ending now")
        os._exit(1)

    timer = threading.Timer(grace_s, end)
    timer.daemon = True
    timer.start()

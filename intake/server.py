"""The HTTP server, its draining, and the grace period of a shutdown."""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from intake.http.protocol import ConnectionLimiter, limited_protocol
from intake.metrics import Metrics
from intake.processes import BACKLOG
from intake.settings import Settings

CLOSE = (b"connection", b"close")
KEEP_ALIVE_S = 5
CANCEL_WITHIN_S = 2  # of the grace period: to answer what is cancelled, and to release what the workers have claimed

log = logging.getLogger("intake")


class Server(uvicorn.Server):
    """A server that drains after SIGTERM, and then finishes its requests and workers at the same time.

    While it drains, for INTAKE_DRAIN, it accepts requests but is not ready. INTAKE_SHUTDOWN_GRACE limits what follows.
    """

    def __init__(
        self, service: ASGIApp, settings: Settings, metrics: Metrics, *, on_started: Callable[[], None] = lambda: None
    ) -> None:
        self._protocol = limited_protocol(ConnectionLimiter(settings, metrics))
        config = uvicorn.Config(
            service,
            host=settings.host,
            port=settings.port,
            http=self._protocol,
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
        self._drain_s, self._grace_s = settings.drain_s, settings.shutdown_grace_s
        self._drained_at: float | None = None
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving; called by uvicorn."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain after SIGTERM, or stop; a second signal ends requests in progress. Called by uvicorn."""
        if self.started and (self._drained_at is not None or self.should_exit):
            asyncio.run_coroutine_threadsafe(self._cancel_requests(), self._loop)
            return
        is_listening = hasattr(self, "servers")  # before it has `started`
        if sig == signal.SIGTERM and self._drain_s and is_listening:
            self._captured_signals.append(sig)
            self._drained_at = time.monotonic() + self._drain_s
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; called by uvicorn ten times a second."""
        if self._drained_at is not None and not self.lifespan.state["is_draining"]:
            log.info("draining for %g s", self._drain_s)
            self.lifespan.state["is_draining"] = True
            self.config.encoded_headers.append(CLOSE)
            counter = 0  # adds the header to the responses at once
        is_drained = self._drained_at is not None and time.monotonic() >= self._drained_at
        return await super().on_tick(counter) or is_drained

    async def _cancel_requests(self) -> None:
        """Have the requests in progress get their 503, then stop without waiting for anything else."""
        tasks = set(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_WITHIN_S)
        self.force_exit = self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and finish the requests; called by uvicorn."""
        limit_shutdown(self._grace_s)
        if workers := self.lifespan.state.get("worker"):
            workers.stop()
        await self._accept_waiting()
        await super().shutdown(sockets)

    async def _accept_waiting(self) -> None:
        """Close the listening sockets, and accept the connections that wait in the kernel: closing would reset them."""
        listening = [one.dup() for server in self.servers for one in server.sockets]
        for server in self.servers:
            server.close()
        waiting: list[socket.socket] = []
        for one in listening:
            with one, suppress(OSError):  # BlockingIOError: no more
                while len(waiting) < BACKLOG:
                    waiting.append(one.accept()[0])
        for connection in waiting:
            connection.setblocking(False)
            await self._loop.connect_accepted_socket(self._create_protocol, connection)

    def _create_protocol(self) -> asyncio.Protocol:
        return self._protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def limit_shutdown(grace_s: float) -> None:
    """End the process in `grace_s` seconds, whatever its threads then wait for."""

    def end() -> None:
        log.error("the shutdown took longer than INTAKE_SHUTDOWN_GRACE; ending now")
        os._exit(1)

    timer = threading.Timer(grace_s, end)
    timer.daemon = True
    timer.start()

"""A slow network between a browser and a service, which can be cut."""

import socket
import threading
import time
from contextlib import closing, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import cast

from tests.local_server import LocalServer

CHUNK = 16 * 1024


class SlowRelay(LocalServer):
    """Relays connections to a service; what clients send is limited to `bytes_per_s` until the network is restored."""

    def __init__(self, url: str, *, bytes_per_s: int) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.upstream = host, int(port)
        self.bytes_per_s = bytes_per_s
        self.is_cut = False
        server = _Server(("127.0.0.1", 0), _Handler)
        server.relay = self
        super().__init__(server)

    def cut(self) -> None:
        """Close all connections, and accept no others."""
        self.is_cut = True

    def restore(self) -> None:
        """Accept connections again, without the limit."""
        self.is_cut, self.bytes_per_s = False, 1_000_000_000


class _Server(ThreadingTCPServer):
    daemon_threads = True
    relay: SlowRelay


class _Handler(BaseRequestHandler):
    def handle(self) -> None:
        relay = cast("_Server", self.server).relay
        if relay.is_cut:
            return
        with closing(socket.create_connection(relay.upstream)) as upstream, suppress(OSError):
            threading.Thread(target=self._respond, args=[upstream], daemon=True).start()
            while not relay.is_cut and (data := self.request.recv(CHUNK)):
                upstream.sendall(data)
                time.sleep(len(data) / relay.bytes_per_s)

    def _respond(self, upstream: socket.socket) -> None:
        with suppress(OSError):
            while data := upstream.recv(CHUNK):
                self.request.sendall(data)

"""A proxy that drops connections."""

import socket
import socketserver
import threading
import time
from contextlib import suppress
from typing import cast
from urllib.parse import urlsplit

from tests.local_server import LocalServer

PIECE_BYTES = 2**16


class Proxy(LocalServer):
    """Forwards requests to a service, with faults.

    `answers` are raw responses to the next connections, instead of the service's. `cuts` are the response bytes after
    which the following connections are dropped. `renames` is a replacement in the requests.
    """

    def __init__(self, url: str, *, cuts: list[int] | None = None, answers: list[bytes] | None = None) -> None:
        parts = urlsplit(url)
        self.upstream = (str(parts.hostname), int(parts.port or 80))
        self.cuts, self.answers = cuts or [], answers or []
        self.renames: tuple[bytes, bytes] = (b"", b"")
        self.delay_s = 0.0  # of each request
        self.asked = b""
        self.connections = 0
        server = _Server(("127.0.0.1", 0), _Connection)
        server.proxy = self
        super().__init__(server)


class _Server(socketserver.ThreadingTCPServer):
    proxy: Proxy


class _Connection(socketserver.BaseRequestHandler):
    request: socket.socket

    def handle(self) -> None:
        proxy = cast("_Server", self.server).proxy
        proxy.connections += 1
        if proxy.answers:
            proxy.asked += self.request.recv(PIECE_BYTES)
            self.request.sendall(proxy.answers.pop(0))
            return
        left = proxy.cuts.pop(0) if proxy.cuts else None
        with socket.create_connection(proxy.upstream) as service:
            asking = threading.Thread(target=self._ask, args=[proxy, service])
            asking.start()
            self._answer(service, left)
            for end in (service, self.request):
                _shut(end)
            asking.join()

    def _ask(self, proxy: Proxy, service: socket.socket) -> None:
        with suppress(OSError):
            while data := self.request.recv(PIECE_BYTES):
                proxy.asked += data[:2000]
                if proxy.delay_s:
                    time.sleep(proxy.delay_s)
                    with suppress(BlockingIOError):  # its body, which arrived meanwhile
                        data += self.request.recv(PIECE_BYTES, socket.MSG_DONTWAIT)
                service.sendall(data.replace(*proxy.renames) if proxy.renames[0] else data)
        _shut(service)

    def _answer(self, service: socket.socket, left: int | None) -> None:
        with suppress(OSError):
            if left == 0:
                service.recv(1)  # wait for the response, but do not forward it
            while (left is None or left > 0) and (data := service.recv(PIECE_BYTES)):
                self.request.sendall(data[:left])
                left = None if left is None else left - len(data)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)

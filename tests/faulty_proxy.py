"""A proxy in front of a service that answers some submissions itself."""

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import httpx2

from tests.local_server import LocalServer

Answer = tuple[int, Mapping[str, str], bytes]
HTML = {"Content-Type": "text/html"}
PROBLEM = {"Content-Type": "application/problem+json"}
LOST = None  # the service gets the request, but the client gets no response


class FaultyProxy(LocalServer):
    """Forwards requests to a service. `answers` replace its responses to the next POST requests.

    `keys` are the idempotency keys of all POST requests.
    """

    def __init__(self, url: str, *answers: Answer | None) -> None:
        self.upstream, self.answers = url, list(answers)
        self.keys: list[str] = []
        server = _Server(("127.0.0.1", 0), _Handler)
        server.proxy = self
        super().__init__(server)


class _Server(ThreadingHTTPServer):
    proxy: FaultyProxy


class _Handler(BaseHTTPRequestHandler):
    def do_OPTIONS(self) -> None:
        self._respond(*self._forward(b""))

    def do_GET(self) -> None:
        self._respond(204, {}, b"")  # a page that a redirect leads to

    def do_POST(self) -> None:
        proxy = cast("_Server", self.server).proxy
        body = self.rfile.read(int(self.headers["Content-Length"]))
        proxy.keys.append(self.headers["Idempotency-Key"])
        answer = proxy.answers.pop(0) if proxy.answers else self._forward(body)
        if answer is LOST:
            self._forward(body)
        else:
            self._respond(*answer)

    def _forward(self, body: bytes) -> Answer:
        url = cast("_Server", self.server).proxy.upstream + self.path
        answer = httpx2.request(self.command, url, headers=dict(self.headers), content=body)
        return answer.status_code, answer.headers, answer.content

    def _respond(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Write no log."""

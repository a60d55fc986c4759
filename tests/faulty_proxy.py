"""A proxy in front of a service that answers some submissions itself."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self, cast

import httpx2

Answer = tuple[int, Mapping[str, str], bytes]
HTML = {"Content-Type": "text/html"}
PROBLEM = {"Content-Type": "application/problem+json"}
LOST = None  # the service gets the request, but the client gets no response


class FaultyProxy:
    """Forwards requests to a service. `answers` replace its responses to the next POST requests.

    `keys` are the idempotency keys of all POST requests.
    """

    def __init__(self, url: str, *answers: Answer | None) -> None:
        self.upstream, self.answers = url, list(answers)
        self.keys: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    proxy: FaultyProxy


class _Handler(BaseHTTPRequestHandler):
    def do_OPTIONS(self) -> None:
        self._respond(*self._forward(b""))

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

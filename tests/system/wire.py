"""Raw HTTP over a socket, for requests that no client library sends."""

import socket
import time
from contextlib import suppress
from http.client import HTTPResponse
from typing import Self
from urllib.parse import urlsplit

WAIT_S = 20.0


class Wire:
    """A TCP connection to a service, from a chosen source address."""

    def __init__(self, url: str, *, source: str = "127.0.0.1", receive_buffer: int | None = None) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        self.socket = socket.socket()
        self.socket.settimeout(WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # separate sends arrive separately
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((source, 0))
        self.socket.connect((address.hostname, address.port))

    def send(self, *parts: bytes, pause_s: float = 0.0) -> Self:
        """Send the parts with a pause between them; stop when the service closes the connection."""
        with suppress(ConnectionError):
            for part in parts:
                self.socket.sendall(part)
                time.sleep(pause_s)
        return self

    def answer(self, method: str = "GET") -> HTTPResponse:
        """Read and return the next response."""
        response = HTTPResponse(self.socket, method=method)
        response.begin()
        response.body = response.read()  # type: ignore[attr-defined]
        return response

    def rest(self) -> bytes:
        """Return all bytes until the service closes the connection."""
        received = b""
        with suppress(ConnectionError):
            while data := self.socket.recv(2**16):
                received += data
        return received

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.socket.close()


def in_bytes(data: bytes) -> list[bytes]:
    """Split the data into single bytes."""
    return [bytes([byte]) for byte in data]

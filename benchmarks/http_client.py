"""Low-overhead HTTP client: persistent connections, and responses that are counted but not parsed."""

import select
import statistics
import time

from tests.system.wire import Wire

BUFFER = 2**18


class PersistentConnection(Wire):
    """A keep-alive connection to a server."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url)
        self._headers = f"Host: x\r\nAuthorization: Bearer {token}\r\n"
        self._buffer = memoryview(bytearray(BUFFER))

    def get(self, path: str) -> int:
        """Return the size of the response body in bytes; fail for any status but 200."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode())
        return self.read_response(b"200")

    def post(self, path: str, body: bytes) -> None:
        """Send a JSON request without waiting for the response."""
        about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.socket.sendall(f"POST {path} HTTP/1.1\r\n{self._headers}{about}\r\n".encode() + body)

    def has_answer(self) -> bool:
        """Return whether a response has begun to arrive."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def read_response(self, status: bytes = b"") -> int:
        """Read the next response, of any status if none is given, and return the size of its body in bytes."""
        head, begin = self._head(status)
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        missing = size - len(begin)
        while missing:
            missing -= self._receive()
        return size

    def stream(self, path: str) -> tuple[float, float]:
        """Read a chunked response; return the seconds until its first and its last bytes."""
        began = time.perf_counter()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{self._headers}Connection: close\r\n\r\n".encode())
        _, last = self._head(b"200")
        last = last or bytes(self._buffer[: self._receive()])
        first_after = time.perf_counter() - began
        while size := self.socket.recv_into(self._buffer):
            last = last[-size:] + bytes(self._buffer[max(0, size - 8) : size])
        assert last.endswith(b"0\r\n\r\n"), "the response was truncated"
        return first_after, time.perf_counter() - began

    def _head(self, status: bytes) -> tuple[bytes, bytes]:
        """Return the response headers and the part of the body received with them."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._buffer[: self._receive()]
        head, _, begin = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status), received
        return head.lower() + b"\r\n", begin

    def _receive(self) -> int:
        size = self.socket.recv_into(self._buffer)
        assert size, "the server closed the connection"
        return size


def times(url: str, token: str, path: str, *, seconds: float, pause_s: float = 0.0) -> list[float]:
    """Return the milliseconds of each request over one connection during `seconds`."""
    taken: list[float] = []
    with PersistentConnection(url, token) as connection:
        connection.get(path)
        until = time.perf_counter() + seconds
        while (began := time.perf_counter()) < until:
            connection.get(path)
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(pause_s)
    return taken


def median_of(url: str, token: str, path: str, *, seconds: float) -> float:
    """Return the median of these times."""
    return statistics.median(times(url, token, path, seconds=seconds))

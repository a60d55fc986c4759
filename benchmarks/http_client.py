"""A client that costs a measurement little: kept connections, and answers that are counted and not looked into."""

import select
import statistics
import time

from tests.system.wire import Wire

BUFFER = 2**18


class Asking(Wire):
    """A connection to a server that stays open from one request to the next."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url)
        self._headers = f"Host: x\r\nAuthorization: Bearer {token}\r\n"
        self._buffer = memoryview(bytearray(BUFFER))

    def get(self, path: str) -> int:
        """Return the size of what is answered, in bytes; it must be a success."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode())
        return self.take(b"200")

    def post(self, path: str, body: bytes) -> None:
        """Ask with a body of JSON, and go on before there is an answer."""
        about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.socket.sendall(f"POST {path} HTTP/1.1\r\n{self._headers}{about}\r\n".encode() + body)

    def has_answer(self) -> bool:
        """Return whether an answer has begun to come."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def take(self, status: bytes = b"") -> int:
        """Read the answer that is due, of whatever status if none is named; return its size in bytes."""
        head, begin = self._head(status)
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        missing = size - len(begin)
        while missing:
            missing -= self._receive()
        return size

    def stream(self, path: str) -> tuple[float, float]:
        """Read an endless answer whole; return the seconds until its first bytes, and until its last."""
        began = time.perf_counter()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{self._headers}Connection: close\r\n\r\n".encode())
        _, last = self._head(b"200")
        last = last or bytes(self._buffer[: self._receive()])
        first_after = time.perf_counter() - began
        while size := self.socket.recv_into(self._buffer):
            last = last[-size:] + bytes(self._buffer[max(0, size - 8) : size])
        assert last.endswith(b"0\r\n\r\n"), "the answer broke off"
        return first_after, time.perf_counter() - began

    def _head(self, status: bytes) -> tuple[bytes, bytes]:
        """Return the answer's headers, and what came of its body with them."""
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
    """Return how long each answer took, in milliseconds, over one connection for so many seconds."""
    taken: list[float] = []
    with Asking(url, token) as asking:
        asking.get(path)
        until = time.perf_counter() + seconds
        while (began := time.perf_counter()) < until:
            asking.get(path)
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(pause_s)
    return taken


def median_of(url: str, token: str, path: str, *, seconds: float) -> float:
    """Return the median of those times."""
    return statistics.median(times(url, token, path, seconds=seconds))

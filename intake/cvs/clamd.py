"""Client of clamd's INSTREAM command: scans files over a socket."""

import re
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from intake.errors import ScanFailed, ScannerUnavailable

CONNECT_TIMEOUT_S = 5
SCAN_TIMEOUT_S = 240  # clamd's own MaxScanTime is two minutes by default
MAX_REPLY_BYTES = 2**12
MAX_SIGNATURE_CHARACTERS = 200
_TOO_LARGE = b"size limit exceeded"  # StreamMaxLength
_LIMITS_EXCEEDED = "Heuristics.Limits.Exceeded"  # with AlertExceedsMax, if a file was scanned in part only


@dataclass(frozen=True)
class ScanResult:
    """The result of a scan: a matching signature, or too large to scan; otherwise the file is clean."""

    signature: str | None = None
    is_too_large: bool = False


def scan(url: str, pieces: Iterable[bytes]) -> ScanResult:
    """Scan a file with the clamd at `url` (unix:///PATH or tcp://HOST:PORT) within SCAN_TIMEOUT_S seconds.

    Raises ScannerUnavailable if clamd is unreachable, ScanFailed if it disconnects or replies with an error, and
    exceptions of `pieces`.
    """
    deadline = time.monotonic() + SCAN_TIMEOUT_S
    with _connected(url) as connection:
        send_error = _send(connection, pieces, deadline)
        return _parse(_reply(connection, deadline, send_error))


@contextmanager
def _connected(url: str) -> Iterator[socket.socket]:
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(_connection(urlsplit(url), stack))
        except OSError as error:
            raise ScannerUnavailable(f"clamd at {url} can't be reached: {error.strerror or error}") from error
        yield connection


def _connection(url: SplitResult, stack: ExitStack) -> socket.socket:
    if url.scheme == "tcp":
        return socket.create_connection((url.hostname, url.port or 0), CONNECT_TIMEOUT_S)
    connection = stack.enter_context(socket.socket(socket.AF_UNIX))
    connection.settimeout(CONNECT_TIMEOUT_S)
    connection.connect(url.path)
    return connection


def _send(connection: socket.socket, pieces: Iterable[bytes], deadline: float) -> OSError | None:
    """Send a file, or a part if clamd replies early; return a send error, after which a reply may still arrive."""
    chunks = (struct.pack("!I", len(piece)) + piece for piece in pieces if piece)
    error = _try_send(connection, b"zINSTREAM\0", deadline)
    for chunk in chunks:
        if error is not None or _has_replied(connection):
            return error
        error = _try_send(connection, chunk, deadline)
    return error or _try_send(connection, struct.pack("!I", 0), deadline)


def _try_send(connection: socket.socket, data: bytes, deadline: float) -> OSError | None:
    try:
        connection.settimeout(_remaining_s(deadline))
        connection.sendall(data)
    except OSError as error:
        return error
    return None


def _has_replied(connection: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))


def _reply(connection: socket.socket, deadline: float, send_error: OSError | None) -> bytes:
    reply = b""
    try:
        while b"\0" not in reply and len(reply) < MAX_REPLY_BYTES:
            connection.settimeout(_remaining_s(deadline))
            if not (data := connection.recv(MAX_REPLY_BYTES)):
                break
            reply += data
    except OSError as error:
        send_error = send_error or error
    if not reply:
        raise ScanFailed(f"clamd did not reply: {send_error or 'it closed the connection'}")
    return reply.partition(b"\0")[0].strip()


def _remaining_s(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)  # 0 would make the socket non-blocking


def _parse(reply: bytes) -> ScanResult:
    if reply == b"stream: OK":
        return ScanResult()
    if _TOO_LARGE in reply:
        return ScanResult(is_too_large=True)
    text = "".join(c if c.isprintable() else "?" for c in reply.decode("ascii", "replace"))
    if found := re.fullmatch(r"stream: (.+) FOUND", text):
        signature = found[1][:MAX_SIGNATURE_CHARACTERS]
        if signature.startswith(_LIMITS_EXCEEDED):
            return ScanResult(is_too_large=True)
        return ScanResult(signature=signature)
    raise ScanFailed(f"clamd replied: {text[:MAX_SIGNATURE_CHARACTERS]}")

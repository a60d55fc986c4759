"""clamd's INSTREAM: a file is sent over a socket in pieces, and clamd says what it is."""

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
SCAN_TIMEOUT_S = 240  # clamd itself gives up on a file after two minutes, unless its MaxScanTime says otherwise
MAX_REPLY_BYTES = 2**12
MAX_SIGNATURE_CHARACTERS = 200
_TOO_LARGE = b"size limit exceeded"  # StreamMaxLength
_LIMITS_EXCEEDED = "Heuristics.Limits.Exceeded"  # with AlertExceedsMax, where not all of a file was looked at


@dataclass(frozen=True)
class ScanResult:
    """What clamd says of a file: the signature that fits it, or that it is too large to say; else it is clean."""

    signature: str | None = None
    is_too_large: bool = False


def scan(url: str, pieces: Iterable[bytes]) -> ScanResult:
    """Return what the clamd at `url` (unix:///PATH or tcp://HOST:PORT) says of a file, within SCAN_TIMEOUT_S seconds.

    Raises ScannerUnavailable where it can't be reached, ScanFailed where it breaks off or answers anything else, and
    whatever the pieces raise.
    """
    deadline = time.monotonic() + SCAN_TIMEOUT_S
    with _connected(url) as connection:
        trouble = _send(connection, pieces, deadline)
        return _verdict(_reply(connection, deadline, trouble))


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
    """Send a file until clamd has heard enough; what breaks that off is returned, since an answer may be there."""
    chunks = (struct.pack("!I", len(piece)) + piece for piece in pieces if piece)
    sent = _sent(connection, b"zINSTREAM\0", deadline)
    for chunk in chunks:
        if sent is not None or _has_answered(connection):
            return sent
        sent = _sent(connection, chunk, deadline)
    return sent or _sent(connection, struct.pack("!I", 0), deadline)


def _sent(connection: socket.socket, data: bytes, deadline: float) -> OSError | None:
    try:
        connection.settimeout(_left(deadline))
        connection.sendall(data)
    except OSError as error:
        return error
    return None


def _has_answered(connection: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))


def _reply(connection: socket.socket, deadline: float, trouble: OSError | None) -> bytes:
    reply = b""
    try:
        while b"\0" not in reply and len(reply) < MAX_REPLY_BYTES:
            connection.settimeout(_left(deadline))
            if not (data := connection.recv(MAX_REPLY_BYTES)):
                break
            reply += data
    except OSError as error:
        trouble = trouble or error
    if not reply:
        raise ScanFailed(f"clamd ended the connection without a reply: {trouble or 'it closed the connection'}")
    return reply.partition(b"\0")[0].strip()


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)  # 0 would mean not to wait at all, and to fail where there is data


def _verdict(reply: bytes) -> ScanResult:
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
    raise ScanFailed(f"clamd answered: {text[:MAX_SIGNATURE_CHARACTERS]}")

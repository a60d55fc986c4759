"""A fake clamd that implements INSTREAM over a real socket."""

import socket
import threading
from contextlib import suppress
from pathlib import Path

from tests.files import EICAR

STREAM_MAX_BYTES = 2**20
SIGNATURE = "Eicar-Test-Signature"


class ClamdServer:
    """Detects the EICAR file, accepts up to STREAM_MAX_BYTES, and records the sizes of scanned files.

    It replies with an error to a file that contains `confusing`, and not at all to one that contains `cutting`.
    """

    def __init__(self, address: Path | tuple[str, int]) -> None:
        self.address = address
        self.sizes: list[int] = []
        self.answering = threading.Event()
        self.answering.set()

    @property
    def url(self) -> str:
        """The value for INTAKE_CLAMD."""
        if isinstance(self.address, Path):
            return f"unix://{self.address}"
        return "tcp://{}:{}".format(*self.address)

    def start(self) -> None:
        """Listen, and serve each connection in a thread."""
        if isinstance(self.address, Path):
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.bind(str(self.address))
            self._listening.listen()
        else:
            self._listening = socket.create_server(self.address)
            self.address = self._listening.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        if isinstance(self.address, Path):
            self.address.unlink(missing_ok=True)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as sent:
            command = b""
            while not command.endswith(b"\0"):
                if not (byte := sent.read(1)):
                    return
                command += byte
            if command != b"zINSTREAM\0":
                connection.sendall(b"UNKNOWN COMMAND\0")
                return
            content = b""
            while size := int.from_bytes(length := sent.read(4), "big"):
                if len(content) + size > STREAM_MAX_BYTES:
                    connection.sendall(b"INSTREAM size limit exceeded. ERROR\0")
                    return
                content += sent.read(size)
            if len(length) < 4:  # the client disconnected
                return
            self.sizes.append(len(content))
            self.answering.wait(30)
            if reply := self._reply(content):
                connection.sendall(reply)

    def _reply(self, content: bytes) -> bytes:
        if b"cutting" in content:
            return b""
        if b"confusing" in content:
            return b"stream: Can't allocate memory ERROR\0"
        return f"stream: {SIGNATURE} FOUND\0".encode() if EICAR in content else b"stream: OK\0"

"""A fast SMTP relay that accepts and discards every mail, or hangs after the first.

`python -m benchmarks.smtp_sink` runs it as a process and prints its port.
"""

import asyncio
import threading
from contextlib import suppress

REPLIES = {b"EHLO": b"250-sink\r\n250 8BITMIME\r\n", b"QUIT": b"221 bye\r\n"}


class SmtpSink:
    """A relay on 127.0.0.1 in its own thread; with `hangs`, it never replies to a mail.

    Its reply to NOOP contains the number of accepted mails.
    """

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self.taken = 0
        self.port = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self._ready.wait()

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._converse(reader, writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            command = line[:4].upper()
            if command == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                if self._hangs:
                    await asyncio.sleep(3600)
                self.taken += 1
            writer.write(self._reply(command))
            if command == b"QUIT":
                break

    def _reply(self, command: bytes) -> bytes:
        return b"250 %d\r\n" % self.taken if command == b"NOOP" else REPLIES.get(command, b"250 OK\r\n")


def main() -> None:
    sink = SmtpSink()
    print(sink.port, flush=True)
    sink.thread.join()


if __name__ == "__main__":
    main()

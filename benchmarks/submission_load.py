"""Load generator: connections that submit as fast as they get responses.

`python -m benchmarks.submission_load SECONDS CONNECTIONS CV-BYTES URL…` prints the responses per second, their number,
its own share of a core, and the number of busy cores. Each submission has its own email address, connections are
reused, and any response but a 204 ends the run. With 0 bytes it requests the form instead, which must be a 200. The
bytes are prepared beforehand and sent by one thread: no available load generator sends 100 KB of which a few bytes
differ at so little cost.
"""

import json
import os
import selectors
import socket
import sys
import time
from itertools import count
from pathlib import Path
from random import Random
from secrets import token_hex
from urllib.parse import urlsplit

BOUNDARY = "benchmark"
ANSWER_WITHIN_S = 60.0


FORM = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nFrom: ", b"\r\n\r\n"


def submission(cv_bytes: int) -> tuple[bytes, bytes]:
    """Return the request before and after an email address of 32 characters."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"{{}}\r\n\r\n'
    before = part.format("email", "")
    names = part.format("f_name", "") + "Ada\r\n" + part.format("l_name", "") + "Lovelace\r\n"
    file = "\r\n" + names + part.format("CV", '; filename="cv.pdf"\r\nContent-Type: application/pdf')
    after = file.encode() + b"%PDF-1.4\n" + Random(1).randbytes(cv_bytes - 9) + f"\r\n--{BOUNDARY}--\r\n".encode()
    length = len(before) + 32 + len(after)
    head = (
        f"POST /leads/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    return (head + before).encode(), after


class Sender:
    """A connection that sends one submission after another."""

    def __init__(self, url: str, before: bytes, after: bytes) -> None:
        self._before, self._after = before, memoryview(after)
        self.socket = socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), ANSWER_WITHIN_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._left: list[memoryview] = []
        self._answer = b""

    def begin(self, email: bytes) -> bool:
        """Start a submission; return whether part of it remains to be sent."""
        self._left = [memoryview(self._before + email), self._after]
        return self.continue_sending()

    def continue_sending(self) -> bool:
        """Send as much as the socket accepts; return whether part remains."""
        while self._left:
            try:
                sent = self.socket.sendmsg(self._left)
            except BlockingIOError:
                return True
            while self._left and sent >= len(self._left[0]):
                sent -= len(self._left.pop(0))
            if self._left:
                self._left[0] = self._left[0][sent:]
        return False

    def is_answered(self) -> bool:
        """Read; return whether the response is complete. Raises RuntimeError unless it is a 200 or a 204."""
        self._answer += self.socket.recv(2**16)
        if not self._answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 204")):
            raise RuntimeError(f"neither a 200 nor a 204: {self._answer[:500]!r}")
        head, end, body = self._answer.partition(b"\r\n\r\n")
        size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not end or len(body) < int(size or 0):
            return False
        self._answer = b""
        return True


class Generator:
    """Connections that submit, spread over the URLs."""

    def __init__(self, urls: list[str], connections: int, cv_bytes: int) -> None:
        before, after = submission(cv_bytes) if cv_bytes else FORM
        self._selector = selectors.DefaultSelector()
        self._senders = [Sender(urls[number % len(urls)], before, after) for number in range(connections)]
        self._series, self._numbers = token_hex(6), count()
        for sender in self._senders:
            self._selector.register(sender.socket, selectors.EVENT_READ, sender)

    def submit(self, seconds: float) -> tuple[float, int]:
        """Submit for `seconds`, once, wait for the last responses, and return these per second, and their number."""
        began, answered, waiting = time.perf_counter(), 0, len(self._senders)
        for sender in self._senders:
            self._watch(sender, is_sending=sender.begin(self._email()))
        while waiting:
            ready = self._selector.select(ANSWER_WITHIN_S)
            if not ready:
                raise RuntimeError("no response in time")
            for key, events in ready:
                one: Sender = key.data
                if events & selectors.EVENT_WRITE:
                    self._watch(one, is_sending=one.continue_sending())
                if not events & selectors.EVENT_READ or not one.is_answered():
                    continue
                answered += 1
                if time.perf_counter() < began + seconds:
                    self._watch(one, is_sending=one.begin(self._email()))
                else:
                    waiting -= 1
                    self._selector.unregister(one.socket)  # the service may close it before the last response
        return answered / (time.perf_counter() - began), answered

    def _watch(self, sender: Sender, *, is_sending: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if is_sending else 0)
        if self._selector.get_key(sender.socket).events != events:
            self._selector.modify(sender.socket, events, sender)

    def _email(self) -> bytes:
        return f"{self._series}{next(self._numbers):08}@example.com".encode()


def busy_s() -> float:
    """Return the busy seconds of all cores since boot, summed."""
    user, nice, system, _idle, _waiting, *interrupts = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    seconds, connections, cv_bytes, *urls = sys.argv[1:]
    generator = Generator(urls, int(connections), int(cv_bytes))
    began, worked, busy = time.perf_counter(), time.process_time(), busy_s()
    rate, count = generator.submit(float(seconds))
    taken = time.perf_counter() - began
    shares = {"share": (time.process_time() - worked) / taken, "busy": (busy_s() - busy) / taken}
    print(json.dumps({"rate": rate, "count": count, **shares}))


if __name__ == "__main__":
    main()

"""Low-cost HTTP for attackers: prepared bytes, minimal parsing, and pacing."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Self
from urllib.parse import urlsplit

from stress.load.sizes import Size

ANSWER_WITHIN_S = 30.0
LAST_ANSWERS_S = 5.0
ARRIVALS_PER_S = 20
HERE = "127.0.0.1"
NO_ANSWER, CLOSED, HELD = "no answer", "closed", "held open"
BOUNDARY = "attack"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
CV = b"%PDF-1.4\n" + b"a CV that is not long\n" * 100


@dataclass(frozen=True)
class Address:
    """Host and port of a service."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the address of a URL."""
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        return cls(parts.hostname, parts.port)


@dataclass(frozen=True)
class AttackPlan:
    """Input of an attack: both APIs, the token of a slow reader, the seeded CV's lead, size and duration."""

    public: Address
    internal: Address
    token: str
    cv_lead: int
    size: Size
    seconds: float


@dataclass
class AttackResult:
    """Result of an attack: responses by status, and the email addresses of acknowledged submissions."""

    answers: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Attempts per second."""
        return self.answers.total() / self.seconds if self.seconds else 0.0


class Wire:
    """A connection that reopens after it is closed."""

    def __init__(self, to: Address, source: str = HERE) -> None:
        self._to, self._source = to, source
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> str:
        """Send a request and return the status of its response, or NO_ANSWER or CLOSED."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                if self._streams is None:
                    self._streams = await connect(self._to, self._source)
                reader, writer = self._streams
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(length(head))
        except TimeoutError:
            self.close()
            return NO_ANSWER
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self.close()
            return CLOSED
        if b"connection: close" in head.lower():
            self.close()
        return status(head)

    def close(self) -> None:
        """Abort the connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def connect(to: Address, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection from a local address. Raises OSError."""
    return await asyncio.open_connection(to.host, to.port, local_addr=(source, 0))


def source(number: int, *, of: int) -> str:
    """Return one of `of` loopback addresses; the prober uses another one."""
    return f"127.0.2.{1 + number % of}"


def status(head: bytes) -> str:
    """Return the status of a response; mark a 503 without Retry-After."""
    found = head[9:12].decode("ascii", "replace")
    return "503 without Retry-After" if found == "503" and b"\nretry-after:" not in head.lower() else found


def length(head: bytes) -> int:
    """Return the length of a response's body."""
    found = re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


def form(email: str, *, cv: bytes = CV) -> bytes:
    """Return a valid form body."""
    texts = {"email": email, "f_name": "Ada", "l_name": "Lovelace"}
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in texts.items()
    ]
    file = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="CV"; filename="cv.pdf"\r\n\r\n'
    return "".join([*parts, file]).encode() + cv + f"\r\n--{BOUNDARY}--\r\n".encode()


def post(path: str, body: bytes, *headers: str, content_type: str = FORM_TYPE, declared: int | None = None) -> bytes:
    """Return a POST request; `declared` overrides its Content-Length."""
    given = ["Host: localhost", f"Content-Type: {content_type}", *headers]
    given.append(f"Content-Length: {len(body) if declared is None else declared}")
    return "\r\n".join([f"POST {path} HTTP/1.1", *given, "", ""]).encode("latin-1") + body


def get(path: str, token: str) -> bytes:
    """Return a GET request to the internal API that closes its connection."""
    headers = ["Host: localhost", f"Authorization: Bearer {token}", "Connection: close"]
    return "\r\n".join([f"GET {path} HTTP/1.1", *headers, "", ""]).encode()


class Pace:
    """Consecutive numbers from 0, released at a steady rate until time is up."""

    def __init__(self, per_s: float, *, until: float) -> None:
        self._per_s, self._until = per_s, until
        self._numbers: Iterator[int] = count()
        self._began = asyncio.get_running_loop().time()

    async def next(self) -> int | None:
        """Wait until the next number is due and return it; None once time is up."""
        number = next(self._numbers)
        due = self._began + number / self._per_s
        now = asyncio.get_running_loop().time()
        if max(due, now) >= self._until:
            return None
        await asyncio.sleep(max(0.0, due - now))
        return number


async def paced(plan: AttackPlan, per_s: float, clients: int, act: Callable[[int], Awaitable[None]]) -> float:
    """Call `act` at a steady rate from concurrent clients and return the elapsed seconds.

    The rate falls behind while all clients are busy. Requests that last LAST_ANSWERS_S beyond the end are cancelled.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    pace = Pace(per_s, until=began + plan.seconds)

    async def client() -> None:
        while (number := await pace.next()) is not None:
            await act(number)

    with suppress(TimeoutError):
        async with asyncio.timeout(plan.seconds + LAST_ANSWERS_S), asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
    return loop.time() - began


async def until_time_is_up(plan: AttackPlan, clients: int, act: Callable[[int], Awaitable[None]]) -> float:
    """Call `act` once per client with its number, cancel it when time is up, and return the elapsed seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(plan.seconds), asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(_act_after_arrival(act, number))
    return plan.seconds


async def _act_after_arrival(act: Callable[[int], Awaitable[None]], number: int) -> None:
    await asyncio.sleep(number / ARRIVALS_PER_S)  # connections open gradually
    await act(number)

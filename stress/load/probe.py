"""Latency of the internal list or of a login, measured at a steady rate from a separate process."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field

from stress.durability.deployment import PASSWORD, USERNAME
from stress.load.wire import Address, Wire, get, post

PATH = "/internal/leads/?limit=50"


@dataclass
class Latencies:
    """Measurements of a probe: seconds from each request's due time to its response, and the statuses."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the latency in milliseconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000

    @property
    def failures(self) -> dict[str, int]:
        """Number of responses other than 200, by status."""
        return {kind: n for kind, n in self.statuses.items() if kind != "200"}


def list_request(token: str) -> bytes:
    """Return a request for the internal list."""
    return get(PATH, token)


def login_request(_token: str) -> bytes:
    """Return a login request of the owner, from a known address."""
    body = json.dumps({"username": USERNAME, "password": PASSWORD}).encode()
    return post("/internal/auth/login", body, "Connection: close", content_type="application/json")


async def probe(at: Address, request: bytes, *, seconds: float, per_s: float) -> Latencies:
    """Send requests at a steady rate on new connections, without waiting for earlier responses.

    So a stall delays many measurements, not one.
    """
    found = Latencies()
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def ask(due: float) -> None:
        wire = Wire(at)
        found.statuses[await wire.ask(request)] += 1
        found.seconds.append(loop.time() - due)
        wire.close()

    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * per_s)):
            due = began + number / per_s
            await asyncio.sleep(max(0.0, due - loop.time()))
            group.create_task(ask(due))
    return found

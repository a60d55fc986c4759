"""How long the internal list or a login takes, asked for at a steady rate by a process of its own."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field

from stress.durability.deployment import PASSWORD, USERNAME
from stress.load.wire import Address, Wire, get, post

PATH = "/internal/leads/?limit=50"


@dataclass
class Latencies:
    """What a probe measured: each answer's seconds from when it was due, and its status."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def percentile_ms(self, percent: float) -> float:
        """Return the milliseconds that so many of a hundred answers took at the most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000

    @property
    def failures(self) -> dict[str, int]:
        """How many answers were not 200, by status."""
        return {kind: n for kind, n in self.statuses.items() if kind != "200"}


def list_request(token: str) -> bytes:
    """Return a request for the internal list."""
    return get(PATH, token)


def login_request(_token: str) -> bytes:
    """Return the owner's login, from the address at which the owner is known."""
    body = json.dumps({"username": USERNAME, "password": PASSWORD}).encode()
    return post("/internal/auth/login", body, "Connection: close", content_type="application/json")


async def probe(at: Address, request: bytes, *, seconds: float, per_s: float) -> Latencies:
    """Ask on a new connection each time, whether or not the last answer has come: a stall is waited for by many."""
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

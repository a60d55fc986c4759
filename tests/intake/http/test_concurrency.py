"""Concurrent requests per client."""

import asyncio
from ipaddress import ip_address, ip_network

from starlette.types import Message, Receive, Scope, Send

from intake.http.client_address import Client
from intake.http.concurrency import ConcurrencyLimitMiddleware
from intake.metrics import Metrics
from intake.settings import Settings

SETTINGS = Settings(max_connections=20, trusted_proxies=(ip_network("10.0.0.0/8"),))


async def statuses(*addresses: str, settings: Settings = SETTINGS) -> list[int]:
    """Return the statuses of concurrent requests, which all arrive before the first response."""
    metrics, release = Metrics(), asyncio.Event()
    found: list[int] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    middleware = ConcurrencyLimitMiddleware(slow, settings)
    for _ in range(2):  # the second round reuses the slots of the first
        release.clear()
        scopes = [
            {
                "type": "http",
                "path": "/leads/",
                "headers": [],
                "state": {"client": Client(ip_address(one)), "metrics": metrics},
            }
            for one in addresses
        ]
        tasks = [asyncio.create_task(middleware(scope, receive, send)) for scope in scopes]
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*tasks)
    return found


def test_a_client_may_use_a_tenth() -> None:
    addresses = ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8::3")
    assert sorted(asyncio.run(statuses(*addresses))) == [200] * 10 + [503] * 4


def test_proxies_and_exempt_clients_have_no_limit() -> None:
    exempt = Settings(max_connections=20, rate_limit_exempt=(ip_network("192.0.2.0/24"),))
    assert asyncio.run(statuses(*["10.0.0.1"] * 5)) == [200] * 10
    assert asyncio.run(statuses(*["192.0.2.1"] * 5, settings=exempt)) == [200] * 10

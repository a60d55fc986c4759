"""Concurrent requests per client."""

from contextlib import ExitStack
from ipaddress import ip_address, ip_network

from intake.http.client_address import Client
from intake.http.concurrency import ConcurrencyLimiter
from intake.settings import Settings

SETTINGS = Settings(max_connections=20, trusted_proxies=(ip_network("10.0.0.0/8"),))


def statuses(*addresses: str, settings: Settings = SETTINGS) -> list[int]:
    """Return the statuses of concurrent requests, which all arrive before the first response."""
    limiter = ConcurrencyLimiter(settings)
    found: list[int] = []
    for _ in range(2):  # the second round reuses the slots of the first
        with ExitStack() as stack:
            for address in addresses:
                refused = stack.enter_context(limiter.acquire(Client(ip_address(address))))
                found.append(503 if refused else 200)
    return found


def test_a_client_may_use_a_tenth() -> None:
    addresses = ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8::3")
    assert sorted(statuses(*addresses)) == [200] * 10 + [503] * 4


def test_proxies_and_exempt_clients_have_no_limit() -> None:
    exempt = Settings(max_connections=20, rate_limit_exempt=(ip_network("192.0.2.0/24"),))
    assert statuses(*["10.0.0.1"] * 5) == [200] * 10
    assert statuses(*["192.0.2.1"] * 5, settings=exempt) == [200] * 10

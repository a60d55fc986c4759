"""Upload concurrency limits."""

from contextlib import AbstractContextManager, ExitStack
from ipaddress import ip_address, ip_network

import pytest

from intake.errors import ServiceBusy
from intake.http.client_address import Client
from intake.http.request_state import AppRequest
from intake.http.upload_limits import UploadLimiter
from intake.settings import Settings

LARGEST = 1000
EXEMPT = ip_network("198.51.100.0/24")


def new_limiter(*, uploads: int = 8, spool_bytes: int = 100_000) -> UploadLimiter:
    settings = Settings(max_uploads=uploads, max_spool_bytes=spool_bytes, rate_limit_exempt=(EXEMPT,))
    return UploadLimiter(settings, largest_bytes=LARGEST)


def acquire(limiter: UploadLimiter, address: str, size: int | str | None = 10) -> AbstractContextManager[None]:
    headers = [] if size is None else [(b"content-length", str(size).encode())]
    scope = {"type": "http", "headers": headers, "state": {"client": Client(ip_address(address))}}
    return limiter.acquire(AppRequest(scope))


def count(limiter: UploadLimiter, *addresses: str, size: int | None = 10) -> int:
    """Return the number of concurrent uploads before one is refused."""
    with ExitStack() as stack:
        for number, address in enumerate(addresses):
            try:
                stack.enter_context(acquire(limiter, address, size))
            except ServiceBusy:
                return number
        return len(addresses)


def reason(limiter: UploadLimiter, address: str, size: int | None) -> str:
    with pytest.raises(ServiceBusy) as raised, acquire(limiter, address, size):
        pass
    return raised.value.reason


def test_a_client_may_use_a_quarter_of_the_slots() -> None:
    limiter = new_limiter()
    assert count(limiter, *["192.0.2.1"] * 9) == 2
    assert count(limiter, *[f"192.0.2.{number // 2}" for number in range(2, 20)]) == 8
    assert count(new_limiter(uploads=1), "192.0.2.1", "192.0.2.2") == 1


def test_an_ipv6_64_is_one_client() -> None:
    assert count(new_limiter(), *[f"2001:db8::{number}" for number in range(9)]) == 2
    assert count(new_limiter(), *[f"2001:db8:0:{number}::" for number in range(9)]) == 8


def test_an_exempt_client_may_use_all_slots() -> None:
    assert count(new_limiter(), *["198.51.100.7"] * 9) == 8


def test_the_declared_size_or_the_maximum_is_reserved() -> None:
    limiter = new_limiter(spool_bytes=12_000)
    assert count(limiter, *["192.0.2.1"] * 9, size=1500) == 2, "at most the largest size"
    assert count(new_limiter(uploads=100, spool_bytes=12_000), *["192.0.2.1"] * 99, size=300) == 10
    assert count(new_limiter(uploads=100, spool_bytes=12_000), *["192.0.2.1"] * 99, size=None) == 3
    every = [f"192.0.2.{number}" for number in range(99)]
    assert count(new_limiter(uploads=100, spool_bytes=12_000), *every, size=None) == 12


@pytest.mark.parametrize("declared", ["", "-1", "x", "9" * 20, "\u0663"], ids=range(5))
def test_an_invalid_length_reserves_the_maximum(declared: str) -> None:
    assert new_limiter()._size(declared) == LARGEST


def test_the_reason_is_the_exhausted_limit() -> None:
    limiter = new_limiter(spool_bytes=2000)
    with acquire(limiter, "192.0.2.1", 600):
        assert reason(limiter, "192.0.2.1", 600) == "spool"
        with acquire(limiter, "192.0.2.1", 1), acquire(limiter, "192.0.2.2", 900):
            assert reason(limiter, "192.0.2.1", 1) == "uploads"
            assert reason(limiter, "192.0.2.3", 600) == "spool"


def test_a_single_upload_of_the_largest_size_is_accepted() -> None:
    assert count(new_limiter(uploads=1, spool_bytes=10), "192.0.2.1", size=LARGEST) == 1
    assert count(new_limiter(uploads=1, spool_bytes=10), "192.0.2.1", size=None) == 1


def test_slots_are_released_after_errors() -> None:
    limiter = new_limiter()
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), acquire(limiter, "192.0.2.1"), acquire(limiter, "192.0.2.1"):
            _ = 1 // 0
    assert limiter._total.uploads == limiter._total.spool_bytes == 0
    assert not limiter._by_client

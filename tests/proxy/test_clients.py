"""Client addresses behind real proxies, with forged headers."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_network
from threading import Thread

import pytest
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from intake.http.client_address import find_client
from intake.settings.parsers import Network
from tests.proxy.programs import DOCUMENTED, Proxy, client, default_nginx, documented_nginx

PROXY = ip_network("127.0.0.1/32")
OURS = "127.0.0.7"  # source address of the client's connection

CLAIMS: dict[str, Sequence[bytes]] = {
    "none": [],
    "forged": [b"203.0.113.9"],
    "forged as the proxy": [b"127.0.0.1"],
    "a chain": [b"203.0.113.9, 127.0.0.1"],
    "repeated": [b"203.0.113.9", b"198.51.100.3, 127.0.0.1"],
    "mapped": [b"::ffff:203.0.113.9"],
    "malformed": [b"for=203.0.113.9;proto=https"],
    "with a port": [b"[2001:db8::1]:443"],
    "commas": [b",,,"],
    "not ASCII": [b"\xff\xfe"],
    "long": [b", ".join([b"127.0.0.1"] * 300)],
}


class Seen:
    """An application that responds with its client's address, run like `intake serve`."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        config = uvicorn.Config(self, proxy_headers=False, log_config=None, access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()
        self.upstream = f"127.0.0.1:{self._socket.getsockname()[1]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/healthz":
            await JSONResponse({"status": "up"})(scope, receive, send)
            return
        client = find_client(scope, self._trusted)
        seen = {"address": str(client.address), "key": client.key, "passed_over": client.is_forwarded_untrusted}
        await JSONResponse(seen)(scope, receive, send)

    def close(self) -> None:
        """Stop the server."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Proxy]]:
    """A function that starts a proxy in front of an application that trusts these peers, once per pair."""
    known: dict[object, Proxy] = {}
    with ExitStack() as stack:

        def started(make: Callable[[str], Proxy], *trusted: Network) -> Proxy:
            if (make, trusted) not in known:
                seen = Seen(trusted)
                stack.callback(seen.close)
                known[make, trusted] = stack.enter_context(make(seen.upstream))
            return known[make, trusted]

        yield started


def ask(proxy: Proxy, claims: Sequence[bytes] = (), *, ours: str = OURS) -> dict[str, object]:
    """Return the client as the service sees it, for a connection from `ours` with these headers."""
    with client(proxy, ours=ours) as asking:
        answer = asking.get("/leads/", headers=[(b"X-Forwarded-For", claim) for claim in claims])
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("make", DOCUMENTED)
def test_client_address_is_the_peer_of_the_proxy(
    start: Callable[..., Proxy], make: Callable[[str], Proxy], claim: str
) -> None:
    assert ask(start(make, PROXY), CLAIMS[claim]) == {"address": OURS, "key": OURS, "passed_over": False}


@pytest.mark.parametrize("make", DOCUMENTED)
def test_ipv6_clients_are_counted_per_64_prefix(start: Callable[..., Proxy], make: Callable[[str], Proxy]) -> None:
    seen = ask(start(make, PROXY), [b"203.0.113.9"], ours="::1")
    assert (seen["address"], seen["key"]) == ("::1", "::/64")


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("make", [*DOCUMENTED, default_nginx])
def test_without_trusted_proxies_the_client_is_the_proxy(
    start: Callable[..., Proxy], make: Callable[[str], Proxy], claim: str
) -> None:
    assert ask(start(make), CLAIMS[claim])["address"] == "127.0.0.1"


def test_missing_header_is_distinguished_from_an_untrusted_one(start: Callable[..., Proxy]) -> None:
    assert ask(start(default_nginx))["passed_over"] is False
    assert ask(start(documented_nginx))["passed_over"] is True


def test_trusted_proxy_without_header_forwards_forged_ones(start: Callable[..., Proxy]) -> None:
    """The service cannot detect this; docs/operations.md warns about it."""
    assert ask(start(default_nginx, PROXY))["address"] == "127.0.0.1"
    assert ask(start(default_nginx, PROXY), [b"203.0.113.9"])["address"] == "203.0.113.9"

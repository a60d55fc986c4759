"""The client's address, from the socket and X-Forwarded-For, and the request ID of a trusted proxy."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import Scope

from intake.settings.parsers import Network

Address = IPv4Address | IPv6Address
IPV6_PREFIX = 64  # assigned to one subscriber
log = logging.getLogger("intake.http")
MAX_PEERS = 10_000  # whose parsed addresses are in memory
REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}")
MAX_FORWARDED = 32  # addresses that are read; no chain of proxies is longer


@dataclass(frozen=True)
class Client:
    """The client of a request.

    `address` is the nearest one that is not a trusted proxy, or None on a Unix socket. `is_forwarded_untrusted` is
    true if X-Forwarded-For was ignored because its sender is not trusted.
    """

    address: Address | None
    is_forwarded_untrusted: bool = False

    @cached_property
    def key(self) -> str:
        """The key for limits: an IPv4 address or an IPv6 /64."""
        if isinstance(self.address, IPv6Address):
            return str(ip_network((self.address, IPV6_PREFIX), strict=False))
        return str(self.address)

    @property
    def network(self) -> str:
        """The network in which one attacker may have many addresses: an IPv4 /24 or an IPv6 /48."""
        if self.address is None:
            return str(None)
        bits = 24 if self.address.version == 4 else 48
        return str(ip_network((self.address, bits), strict=False))

    def is_in(self, networks: Iterable[Network]) -> bool:
        """Return whether the address is in one of the networks."""
        return self.address is not None and any(self.address in network for network in networks)


def find_client(scope: Scope, trusted: Sequence[Network]) -> Client:
    """Return the client of a request.

    X-Forwarded-For (every proxy writes it; RFC 7239's Forwarded is ignored) is read from right to left while the
    writer of an entry is trusted. An invalid entry ends this: the proxy that forwarded it counts as the client.
    """
    peer = _peer_of(scope)
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    if not forwarded:
        return peer
    if not peer.is_in(trusted):
        return Client(peer.address, is_forwarded_untrusted=True)
    client = peer
    for text in reversed(",".join(forwarded).split(",")[-MAX_FORWARDED:]):
        if not client.is_in(trusted) or (address := parse_address(_without_port(text.strip()))) is None:
            break
        client = Client(address)
    return client


def find_request_id(scope: Scope, headers: Mapping[bytes, bytes], trusted: Sequence[Network]) -> str | None:
    """Return the X-Request-ID that a trusted proxy has set, or None."""
    given = headers.get(b"x-request-id")
    if given is None or not REQUEST_ID.fullmatch(given):
        return None
    return given.decode("ascii") if _peer_of(scope).is_in(trusted) else None


def _peer_of(scope: Scope) -> Client:
    return _peer(scope["client"][0] if scope.get("client") else "")


@lru_cache(MAX_PEERS)
def _peer(host: str) -> Client:
    return Client(parse_address(host))


class ForwardingMonitor:
    """Remembers whether X-Forwarded-For was ignored: then all clients behind that proxy share its address."""

    def __init__(self) -> None:
        self.last_error: str | None = None

    def observe(self, client: Client) -> None:
        """Record an ignored X-Forwarded-For, and log the first one."""
        if client.is_forwarded_untrusted and self.last_error is None:
            self.last_error = (
                "X-Forwarded-For from an untrusted peer was ignored;"
                " if the peer is your proxy, set INTAKE_TRUSTED_PROXIES"
            )
            log.warning("%s (the peer is %s)", self.last_error, client.address)


def parse_address(text: str) -> Address | None:
    """Return the address, without a zone, and as IPv4 if that is in it; None if it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _without_port(text: str) -> str:
    """Return the address without the port and brackets that some proxies add."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text

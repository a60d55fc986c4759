"""Who the client is: the one reader of X-Forwarded-For."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from intake.settings.parsers import Network

Address = IPv4Address | IPv6Address
IPV6_PREFIX = 64  # what one subscriber is given, whole
log = logging.getLogger("intake.http")
MAX_FORWARDED = 32  # addresses that are looked at; no chain of proxies is longer


@dataclass(frozen=True)
class Client:
    """Where a request comes from.

    `address` is the nearest one that is no trusted proxy's, None where the server's socket has none (a Unix socket);
    `is_forwarded_untrusted` tells that a forwarding header was passed over, since its sender is not trusted.
    """

    address: Address | None
    is_forwarded_untrusted: bool = False

    @property
    def key(self) -> str:
        """What is counted together: an IPv4 address, or an IPv6 /64."""
        if isinstance(self.address, IPv6Address):
            prefix = int(self.address) >> (128 - IPV6_PREFIX) << (128 - IPV6_PREFIX)
            return f"{IPv6Address(prefix)}/{IPV6_PREFIX}"
        return str(self.address)

    @property
    def network(self) -> str:
        """Where one attacker may have many addresses: an IPv4 /24, or an IPv6 /48."""
        if self.address is None:
            return str(None)
        bits = 24 if self.address.version == 4 else 48
        return str(ip_network((self.address, bits), strict=False))

    def is_in(self, networks: Iterable[Network]) -> bool:
        """Return whether the address is in one of the networks."""
        return self.address is not None and any(self.address in network for network in networks)


def find_client(scope: Scope, trusted: Sequence[Network]) -> Client:
    """Return who a connection's request is from.

    X-Forwarded-For (what every proxy writes; RFC 7239's Forwarded is not read) counts from right to left, as long as
    the one that wrote it is trusted. What can't be read there ends the search: the proxy that passed it on counts as
    the client.
    """
    peer = Client(_address(scope["client"][0]) if scope.get("client") else None)
    forwarded = Headers(scope=scope).getlist("x-forwarded-for")
    if not forwarded:
        return peer
    if not peer.is_in(trusted):
        return Client(peer.address, is_forwarded_untrusted=True)
    client = peer
    for text in reversed(",".join(forwarded).split(",")[-MAX_FORWARDED:]):
        if not client.is_in(trusted) or (address := _address(_without_port(text.strip()))) is None:
            break
        client = Client(address)
    return client


class ForwardingMonitor:
    """Remembers whether a forwarding header was passed over: then every client looks like the proxy to this service."""

    def __init__(self) -> None:
        self.last_error: str | None = None

    def look_at(self, client: Client) -> None:
        """Look at one request's client; the first that tells of it is written to the log."""
        if client.is_forwarded_untrusted and self.last_error is None:
            self.last_error = (
                "X-Forwarded-For came from a peer that is not trusted, and is passed over;"
                " if that is your proxy, set INTAKE_TRUSTED_PROXIES"
            )
            log.warning("%s (the peer is %s)", self.last_error, client.address)


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _without_port(text: str) -> str:
    """Return the address alone: some proxies write a port behind it, and brackets around IPv6."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text

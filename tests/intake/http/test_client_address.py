"""Client address, behind proxies and with forged headers."""

from ipaddress import ip_network

import pytest

from intake.http.client_address import MAX_FORWARDED, Client, find_client, find_request_id

TRUSTED = (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("2001:db8:aaaa::/48"))


def found(peer: str | None, *forwarded: str) -> Client:
    headers = [(b"x-forwarded-for", text.encode("latin-1")) for text in forwarded]
    return find_client({"type": "http", "headers": headers, "client": (peer, 1234) if peer else None}, TRUSTED)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # the peer is not a trusted proxy
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["1.2.3.4, 198.51.100.7"], "198.51.100.7"),  # the client forged the first
        ("127.0.0.1", ["1.2.3.4", "198.51.100.7"], "198.51.100.7"),  # repeated headers are one list
        ("127.0.0.1", ["198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("127.0.0.1", ["198.51.100.7, 10.1.2.3, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.7, _hidden, 10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [",,,"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("127.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("127.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("127.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("::ffff:127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("2001:db8:aaaa::1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["10.0.0.1, 10.0.0.2"], "10.0.0.1"),  # a client in a trusted network
        ("fe80::1%eth0", [], "fe80::1"),
    ],
)
def test_the_client_is_the_nearest_untrusted_address(peer: str, forwarded: list[str], address: str) -> None:
    assert str(found(peer, *forwarded).address) == address


def test_an_untrusted_header_is_reported() -> None:
    assert found("192.0.2.1", "198.51.100.7").is_forwarded_untrusted
    assert not found("127.0.0.1", "198.51.100.7").is_forwarded_untrusted
    assert not found("192.0.2.1").is_forwarded_untrusted


def test_a_unix_sockets_client_has_no_address() -> None:
    assert found(None).address is None
    assert found(None).key == "None"


def test_keys_for_limits() -> None:
    assert found("192.0.2.1").key == "192.0.2.1"
    assert found("2001:db8:1:2:3:4:5:6").key == found("2001:db8:1:2:ffff::").key == "2001:db8:1:2::/64"
    assert found("2001:db8:1:3::").key != found("2001:db8:1:2::").key
    assert found("192.0.2.1").network == "192.0.2.0/24"
    assert found("2001:db8:1:2::3").network == found("2001:db8:1:ffff::").network == "2001:db8:1::/48"
    assert found("::ffff:192.0.2.1").network == "192.0.2.0/24"
    assert found(None).network == "None"


def test_a_long_chain_takes_no_longer() -> None:
    assert str(found("127.0.0.1", ", ".join(["198.51.100.7"] + ["10.0.0.1"] * MAX_FORWARDED)).address) == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "given", "used"),
    [
        ("127.0.0.1", b"0123456789abcdef", "0123456789abcdef"),
        ("127.0.0.1", b"2f1b7c7e-3d3b-4c62-9d3a-000000000001", "2f1b7c7e-3d3b-4c62-9d3a-000000000001"),
        ("192.0.2.1", b"0123456789abcdef", None),  # a client's own
        ("127.0.0.1", b"short", None),
        ("127.0.0.1", b"0123456789\x1b[31m", None),
        ("127.0.0.1", b"a" * 65, None),
        (None, b"0123456789abcdef", None),
    ],
)
def test_only_a_trusted_proxy_sets_the_request_id(peer: str | None, given: bytes, used: str | None) -> None:
    scope = {"type": "http", "client": (peer, 1234) if peer else None}
    assert find_request_id(scope, {b"x-request-id": given}, TRUSTED) == used

"""Hosts, paths and networks that the documented proxies forward, and their logs."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy.programs import DOCUMENTED, INTERNAL, Proxy, client
from tests.system.programs import Service, clean_environment, free_port
from tests.system.wire import Wire

OUTSIDE = "127.0.1.7"
INTERNAL_DESCRIPTION = ("/internal/openapi.json", "/internal/docs")
NOT_PUBLIC = ("/metrics", "/readyz", "/internal/leads/", "/internal/auth/login", *INTERNAL_DESCRIPTION)
PUBLIC_PATHS = ["/leads/", "/", "/thanks", "/form.js", "/logo", "/openapi.json", "/docs", "/healthz"]
FORM = """
logo = "logo.svg"
languages = ["en", "de"]
privacy_url = "https://firm.example/privacy"
[texts.en]
no_relationship = "You are not our client yet."
no_confidential = "Send nothing confidential."
privacy = "We use your details to answer you."
"""
PATH_VARIANTS = (
    "//metrics",
    "/leads/../metrics",
    "/leads/%2e%2e/metrics",
    "/leads//../internal/leads/",
    "/leads/..;/metrics",
    "/metrics/",
    "/internal%2fleads/",
    "/healthz/../readyz",
    "/docs/../internal/docs",
    "/docs/..;/internal/docs",
    "//internal/openapi.json",
    "/internal%2fopenapi.json",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory: Path = tmp_path_factory.mktemp("service")
    (directory / "form.toml").write_text(FORM)
    (directory / "logo.svg").write_text("<svg/>")
    environment = clean_environment(directory, INTAKE_TRUSTED_PROXIES="127.0.0.1", INTAKE_FORM="form.toml")
    with Service(environment, directory, "serve", "--no-worker") as started:
        yield started


@pytest.fixture(scope="module", params=DOCUMENTED)
def make(request: pytest.FixtureRequest) -> Callable[[str], Proxy]:
    made: Callable[[str], Proxy] = request.param
    return made


@pytest.fixture(scope="module")
def proxy(make: Callable[[str], Proxy], service: Service) -> Iterator[Proxy]:
    with make(service.url.removeprefix("http://")) as started:
        yield started


def test_public_host_serves_only_the_public_api(proxy: Proxy) -> None:
    with client(proxy) as public:
        assert public.post("/leads/", data={"email": "x"}).status_code == 415
        assert public.post("/leads", data={"email": "x"}).status_code == 415
        assert public.get("/healthz").json() == {"status": "up"}
        assert list(public.get("/openapi.json").json()["paths"]) == PUBLIC_PATHS
        page = public.get("/docs")
        assert (page.status_code, "/leads/" in page.text, "/internal/" in page.text) == (200, True, False)
        assert "default-src 'none'; style-src 'sha256-" in page.headers["Content-Security-Policy"]
        for path in NOT_PUBLIC:
            answer = public.get(path)
            assert (answer.status_code, "problem+json" in answer.headers.get("Content-Type", "")) == (404, False), path


def test_public_host_serves_the_form_in_the_language_of_the_query(proxy: Proxy) -> None:
    with client(proxy) as public:
        page = public.get("/?lang=de")
        assert (page.status_code, '<html lang="de"' in page.text) == (200, True)
        assert "You are not our client yet." in page.text
        for path, content in (
            ("/thanks?lang=de", "Vielen Dank"),
            ("/form.js?v=1", "XMLHttpRequest"),
            ("/logo", "<svg/>"),
        ):
            assert content in public.get(path).text, path
        opened = public.get("/leads?lang=de", headers={"Accept": "text/html"})
        assert (opened.status_code, opened.headers["Location"]) == (303, "/?lang=de")
        parts = {name: (None, value) for name, value in (("email", "a"), ("f_name", "Ada"), ("timestamp", "x"))}
        rejected = public.post("/leads/?lang=de", files=parts, headers={"Accept": "text/html"})
        assert (rejected.status_code, "Fehler: " in rejected.text) == (422, True)


@pytest.mark.parametrize("path", PATH_VARIANTS)
def test_path_variants_do_not_reach_the_internal_api(proxy: Proxy, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    with Wire(proxy.url) as wire:
        received = exchanged(wire, request, "localhost")
    assert b" 200 " not in received.partition(b"\r\n")[0]
    assert b"problem+json" not in received or b"does not support" in received  # the path was /leads/


def test_internal_host_serves_only_its_own_network(proxy: Proxy) -> None:
    with client(proxy, INTERNAL) as inside, client(proxy, INTERNAL, ours=OUTSIDE) as outside:
        statuses = [
            inside.get(path).status_code for path in ("/metrics", "/readyz", "/internal/docs", "/internal/leads/")
        ]
        assert statuses == [200, 200, 200, 401]
        assert "/internal/leads/" in inside.get("/internal/openapi.json").json()["paths"]
        for path in ("/metrics", "/internal/leads/", "/healthz", "/leads/", "/docs", *INTERNAL_DESCRIPTION):
            assert outside.get(path).status_code == 403
    with client(proxy, INTERNAL, ours="::1") as inside:
        assert inside.get("/readyz").status_code == 200


def exchanged(wire: Wire, request: bytes, name: str | None) -> bytes:
    """Return the response to a request over TLS; `name` is the host in the handshake."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with unverified.wrap_socket(wire.socket, server_hostname=name) as secure:
        secure.sendall(request)
        received = b""
        while piece := secure.recv(2**16):
            received += piece
        return received


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1", "localhost.other.example", "xlocalhost"])
def test_unknown_host_is_closed_without_a_response(proxy: Proxy, host: str) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    plain = f"http://127.0.0.1:{proxy.http_port}"
    with Wire(plain) as wire:
        assert wire.send(request).rest() == b""
    with Wire(proxy.url) as wire:
        assert exchanged(wire, request, "localhost") == b"", "whatever the host in the handshake"
    for name in (None, "other.example"):
        with Wire(proxy.url) as wire, pytest.raises((ssl.SSLError, ConnectionError)):
            exchanged(wire, request, name)


def test_http_redirects_only_the_public_host(proxy: Proxy) -> None:
    with Wire(f"http://127.0.0.1:{proxy.http_port}") as wire:
        answer = wire.send(b"POST /leads/?a=b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").answer("POST")
    assert (answer.status, answer.headers["Location"]) == (308, "https://localhost/leads/?a=b")
    with Wire(f"http://127.0.0.1:{proxy.http_port}") as wire:
        assert wire.send(f"GET / HTTP/1.1\r\nHost: {INTERNAL}\r\n\r\n".encode()).rest() == b"", (
            "no password is sent in clear text"
        )


@pytest.mark.parametrize("host", ["localhost:80", "localhost:@evil.example"])
def test_http_redirects_to_its_own_name_only(proxy: Proxy, host: str) -> None:
    with Wire(f"http://127.0.0.1:{proxy.http_port}") as wire:
        received = wire.send(f"GET /docs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()).rest()
    assert b"evil" not in received
    assert b":80/" not in received


def test_logs_contain_no_query_and_no_referer(proxy: Proxy, make: Callable[[str], Proxy]) -> None:
    query, referer = "?email=ada-marker@example.com&after=1", {"Referer": "https://x.example/?ada-marker"}
    with make(f"127.0.0.1:{free_port()}") as lost:  # its service is down
        for one in (proxy, lost):
            for name, ours in (("localhost", "127.0.0.1"), (INTERNAL, "127.0.0.1"), (INTERNAL, OUTSIDE)):
                with client(one, name, ours=ours) as asking:
                    statuses = [
                        asking.get(path + query, headers=referer).status_code
                        for path in ("/leads/", "/internal/leads/", "/metrics")
                    ]
                    assert {502, 503} & {*statuses} or one is proxy or ours == OUTSIDE or name == "localhost"
            with Wire(f"http://127.0.0.1:{one.http_port}") as wire:
                wire.send(
                    f"GET /leads/{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
                ).rest()
        logs = proxy.logs + lost.logs
    assert "/internal/leads/" in logs
    assert "marker" not in logs

"""Transport security: HTTPS, loopback, certificate authorities, proxies and redirects."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from leadctl.http import Shape, matches
from tests.leadctl.conftest import PASSWORD, Client
from tests.leadctl.proxy import Proxy

TLS = Path(__file__).parent / "tls"
CA = str(TLS / "ca.pem")
USER = {"id": 7, "username": "ada", "role": "attorney", "created_at": "2026-11-01T09:00:00Z"}


def test_members_of_a_response_must_exist_and_have_their_type() -> None:
    shape: Shape = {"id": int, "text": str | None, "is_new": bool}
    assert matches({"id": 1, "text": None, "is_new": False, "more": 1}, shape)
    for change in ({"id": True}, {"id": -1}, {"id": "1"}, {"text": 1}, {"is_new": 1}):
        assert not matches({"id": 1, "text": None, "is_new": False, **change}, shape)
    for name in shape:
        assert not matches({other: 1 for other in shape if other != name}, {name: shape[name]})


class Listener(BaseHTTPRequestHandler):
    """Records requests and their tokens; responds like /auth/me, or with a redirect to `location`."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.heard.append((self.command, self.path, self.headers.get("Authorization")))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(307 if server.location else 200)
        self.send_header("Content-Type", "application/json")
        if server.location:
            self.send_header("Location", server.location)
        self.end_headers()
        self.wfile.write(json.dumps(USER).encode())

    do_POST = do_GET  # noqa: N815 - http.server's names

    def do_CONNECT(self) -> None:
        self.server.heard.append((self.command, self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        self.send_error(502)

    def log_message(self, *_args: object) -> None:
        """Do not log."""


@contextmanager
def listening(*, tls: bool = False, location: str = "") -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.heard, server.location = [], location
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def listener() -> Iterator[Any]:
    with listening() as server:
        yield server


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "intake.invalid", "[2001:db8::1]", "localhost.invalid", "0.0.0.0", "127.1"]
)
def test_no_secret_is_sent_unencrypted_to_another_machine(anonymous: Client, listener: Any, host: str) -> None:
    url, proxy = f"http://{host}:8000", {"http_proxy": listener.url}
    runs = [
        anonymous.run("--url", url, "whoami", LEADCTL_TOKEN="t", **proxy),
        anonymous.run("--url", url, "login", "-u", "peter", "--password-stdin", typed=PASSWORD, **proxy),
        anonymous.run("--url", url, "register-user", "x", "--password-stdin", typed=PASSWORD, **proxy),
    ]
    for done in runs:
        assert (done.returncode, done.stdout) == (2, "")
        assert f"unencrypted to {url}; use https, or allow it" in done.stderr
        assert "--insecure-http" in done.stderr
        assert done.stderr.count("\n") == 1
    assert listener.heard == []


@pytest.mark.parametrize("flags", [["--insecure-http"], []])
def test_insecure_http_can_be_allowed(anonymous: Client, listener: Any, flags: list[str]) -> None:
    allowed = {} if flags else {"LEADCTL_INSECURE_HTTP": "1"}
    flags = [*flags, "--url", "http://intake.invalid"]
    done = anonymous.run(*flags, "whoami", LEADCTL_TOKEN="t", http_proxy=listener.url, **allowed)
    assert done.returncode == 0, done.stderr
    assert listener.heard == [("GET", "http://intake.invalid/internal/auth/me", "Bearer t")]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.9.9"])
def test_loopback_may_be_unencrypted(anonymous: Client, listener: Any, host: str) -> None:
    done = anonymous.run("--url", f"http://{host}:{listener.server_port}", "whoami", LEADCTL_TOKEN="t")
    assert done.returncode in (0, 75), "not every system has all of them"
    assert "unencrypted" not in done.stderr


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("no_proxy", [None, "", ".localhost", "example.com,127.0.0.2"])
def test_a_local_proxy_is_not_used_for_loopback(
    anonymous: Client, listener: Any, host: str, variable: str, no_proxy: str | None
) -> None:
    url = f"http://{host}:{listener.server_port}"
    with Proxy(listener.url) as proxy:
        proxied = {variable: proxy.url} | ({} if no_proxy is None else {"NO_PROXY": no_proxy})
        done = anonymous.run("--url", url, "login", "-u", "peter", "--password-stdin", typed=PASSWORD, **proxied)
    assert proxy.connections == 0
    assert "unencrypted" not in done.stderr
    assert listener.heard == [("POST", "/internal/auth/login", None)]


def test_a_remote_proxy_is_not_used_for_loopback(anonymous: Client, listener: Any) -> None:
    with listening(tls=True) as server:
        for url in (listener.url, server.url):
            for proxy in ("http://192.0.2.1:3128", "socks5://192.0.2.1:1080"):
                proxied = {"LEADCTL_TOKEN": "t", "http_proxy": proxy, "https_proxy": proxy}
                done = anonymous.run("--cacert", CA, "--url", url, "whoami", **proxied)
                assert done.returncode == 0, done.stderr


def test_a_redirect_is_never_followed(anonymous: Client, listener: Any) -> None:
    with listening(location=f"{listener.url}/elsewhere") as server:
        runs = [
            anonymous.run("--url", server.url, "whoami", LEADCTL_TOKEN="t"),
            anonymous.run("--url", server.url, "login", "-u", "peter", "--password-stdin", typed=PASSWORD),
        ]
    assert [done.returncode for done in runs] == [1, 1]
    assert "(307)" in runs[0].stderr
    assert (len(server.heard), listener.heard) == (2, [])


def test_custom_certificate_authority(anonymous: Client) -> None:
    with listening(tls=True) as server:
        flags = ("--url", server.url, "whoami")
        unknown = anonymous.run(*flags, LEADCTL_TOKEN="t")
        assert (unknown.returncode, server.heard) == (1, []), "trying again does not help"
        assert "use --cacert" in unknown.stderr.lower()
        assert anonymous.run("--cacert", CA, *flags, LEADCTL_TOKEN="t").returncode == 0
        assert anonymous.run(*flags, LEADCTL_TOKEN="t", SSL_CERT_FILE=CA).returncode == 0
    assert server.heard == [("GET", "/internal/auth/me", "Bearer t")] * 2


@pytest.mark.parametrize("file", ["/nowhere", "/dev/null", str(TLS / "README.md"), "."])
def test_an_unreadable_certificate_authority(client: Client, file: str) -> None:
    done = client.run("--cacert", file, "whoami")
    assert done.returncode == 1
    assert "--cacert" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_sees_no_token(anonymous: Client, listener: Any, variable: str) -> None:
    flags = ("--url", "https://intake.invalid", "whoami")
    proxied = {variable: listener.url, "LEADCTL_TOKEN": "t"}
    assert anonymous.run(*flags, **proxied).returncode == 75
    assert listener.heard == [("CONNECT", "intake.invalid:443", None)]
    listener.heard.clear()
    assert anonymous.run(*flags, **proxied, NO_PROXY="intake.invalid").returncode == 75
    assert listener.heard == []

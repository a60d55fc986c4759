"""Temporary nginx, Caddy and HAProxy processes with the configuration files of docs/, placeholders replaced.

All serve PUBLIC to everyone and INTERNAL to clients in INSIDE, with one self-signed certificate.
"""

import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from tests.postgres import unprivileged_user
from tests.system.programs import free_port

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CERTIFICATE = Path(__file__).parent / "server.pem"  # and its key; good until 2126
PUBLIC, INTERNAL = "localhost", "internal.localhost"
INSIDE = "127.0.0.0/24"
START_WITHIN_S = 20
UPLOAD_BYTES, PIECES = 60_000, 60  # of a slow upload
LOGS = ("log", "output", "intake.log", "intake.error.log")

# main configuration that includes a conf.d file, with all paths in a temporary directory
NGINX = """\
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/log;
events {}
http {
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/site.conf;
}
"""
CADDY = """
{
	admin off
	auto_https disable_certs
	http_port {http}
	https_port {https}
	storage file_system {
		root {directory}/storage
	}
"""


class Proxy:
    """A proxy process of an unprivileged user, in a temporary directory."""

    def __init__(
        self, program: str, arguments: list[str], files: Mapping[str, str], *, url: str, http_port: int = 0
    ) -> None:
        self.url, self.http_port = url, http_port
        self._user = unprivileged_user()
        self._directory = Path(tempfile.mkdtemp(prefix="intake-proxy-", dir="/tmp"))
        shutil.copy(CERTIFICATE, self._directory)
        for name, text in files.items():
            (self._directory / name).write_text(text.replace("{directory}", str(self._directory)))
        if self._user:
            for path in (self._directory, *self._directory.iterdir()):
                shutil.chown(path, self._user)
        placed = [argument.replace("{directory}", str(self._directory)) for argument in arguments]
        with (self._directory / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [_path(program), *placed], stdout=output, stderr=output, user=self._user, cwd="/", env=self._environment
            )

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._directory)}

    def __enter__(self) -> Self:
        until = time.monotonic() + START_WITHIN_S
        host, port = re.sub(r"^https?://", "", self.url).rsplit(":", 1)
        while True:
            try:
                socket.create_connection((host, int(port))).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    log = "".join(path.read_text() for path in self._directory.glob("[lo]*") if path.is_file())
                    self.close()
                    raise AssertionError(f"it does not listen:\n{log}") from None
                time.sleep(0.05)

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def logs(self) -> str:
        """The contents of its logs."""
        return "".join(path.read_text() for path in self._directory.iterdir() if path.name in LOGS)

    def close(self) -> None:
        """Stop the proxy."""
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._directory, ignore_errors=True)


def documented_nginx(*upstreams: str) -> Proxy:
    """Return nginx with docs/nginx.conf; it accepts IPv4 on its IPv6 socket, and so sees mapped addresses."""
    site = _placed(
        (DOCS / "nginx.conf").read_text("utf-8"),
        ("server 127.0.0.1:8000 max_fails=0;", _servers(upstreams)),
        ("127.0.0.1:8000", upstreams[0]),
        ("/etc/ssl/certs/intake.example.com.pem", "{directory}/server.pem"),
        ("/etc/ssl/private/intake.example.com.key", "{directory}/server.pem"),
        ("/etc/ssl/certs/internal.example.com.pem", "{directory}/server.pem"),
        ("/etc/ssl/private/internal.example.com.key", "{directory}/server.pem"),
        ("/var/log/nginx/", "{directory}/"),
        ("intake.example.com", PUBLIC),
        ("internal.example.com", INTERNAL),
        ("192.0.2.0/24", INSIDE),
        ("2001:db8::/32", "::1"),
    )
    return _nginx_on_free_ports(site)


def composed_nginx(public: Sequence[str], internal: Sequence[str]) -> Proxy:
    """Return nginx as in docker-compose.yml, with the addresses that Compose's DNS would return for the replicas.

    Debian's nginx is too old for `resolve`.
    """
    made = subprocess.run(
        ["sh", ROOT / "ops" / "compose" / "nginx-conf.sh"],
        input=(DOCS / "nginx.conf").read_text("utf-8"),
        env={
            "PATH": os.defpath,
            "PUBLIC_HOST": PUBLIC,
            "INTERNAL_HOST": INTERNAL,
            "INTERNAL_NETWORKS": f"{INSIDE} ::1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    site = _placed(
        made.stdout,
        ("server public:8000 resolve max_fails=0;", _servers(public)),
        ("server internal:8000 resolve max_fails=0;", _servers(internal)),
        (f"/intake/tls/{PUBLIC}.pem", "{directory}/server.pem"),
        (f"/intake/tls/{PUBLIC}.key", "{directory}/server.pem"),
        (f"/intake/tls/{INTERNAL}.pem", "{directory}/server.pem"),
        (f"/intake/tls/{INTERNAL}.key", "{directory}/server.pem"),
        ("/dev/stdout", "{directory}/intake.log"),
        ("/dev/stderr", "{directory}/intake.error.log"),
    )
    return _nginx_on_free_ports(site)


def _servers(addresses: Sequence[str]) -> str:
    return "\n".join(f"server {address} max_fails=0;" for address in addresses)


def _nginx_on_free_ports(site: str) -> Proxy:
    https, http = free_port(), free_port()
    site = _placed(
        site,
        ("listen 443 ssl;", ""),
        ("listen 443 ssl default_server;", ""),
        ("listen [::]:443 ssl default_server;", f"listen [::]:{https} ssl default_server ipv6only=off;"),
        ("[::]:443", f"[::]:{https}"),
        ("listen 80;", ""),
        ("listen 80 default_server;", ""),
        ("listen [::]:80 default_server;", f"listen [::]:{http} default_server ipv6only=off;"),
        ("[::]:80", f"[::]:{http}"),
    )
    return _nginx(site, url=f"https://127.0.0.1:{https}", http_port=http)


def default_nginx(upstream: str) -> Proxy:
    """Return nginx with only a proxy_pass."""
    port = free_port()
    site = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{upstream}; }} }}"
    return _nginx(site, url=f"http://127.0.0.1:{port}")


def documented_caddy(*upstreams: str) -> Proxy:
    """Return Caddy with docs/Caddyfile."""
    https, http = free_port(), free_port()
    certificate = "\n\ttls {directory}/server.pem {directory}/server.pem"
    site = _placed(
        (DOCS / "Caddyfile").read_text("utf-8"),
        ("\n{\n", CADDY.replace("{http}", str(http)).replace("{https}", str(https))),
        ("reverse_proxy 127.0.0.1:8000", f"reverse_proxy {' '.join(upstreams)}"),
        ("127.0.0.1:8000", upstreams[0]),
        ("\nhttp://intake.example.com {", f"\nhttp://{PUBLIC}:{http} {{"),
        ("\nintake.example.com {", f"\nhttps://{PUBLIC}:{https} {{{certificate}"),
        ("\ninternal.example.com {", f"\nhttps://{INTERNAL}:{https} {{{certificate}"),
        ("\nhttp://internal.example.com {", f"\nhttp://{INTERNAL}:{http} {{"),
        ("\nhttp:// {", f"\nhttp://:{http} {{"),
        ("\nhttps:// {", f"\nhttps://:{https} {{"),
        ("https://intake.example.com", f"https://{PUBLIC}"),
        ("192.0.2.0/24", INSIDE),
        ("2001:db8::/32", "::1"),
    )
    arguments = ["run", "--adapter", "caddyfile", "--config", "{directory}/Caddyfile"]
    return Proxy("caddy", arguments, {"Caddyfile": site}, url=f"https://127.0.0.1:{https}", http_port=http)


def documented_haproxy(*upstreams: str) -> Proxy:
    """Return HAProxy with docs/haproxy.cfg."""
    https, http = free_port(), free_port()
    site = (DOCS / "haproxy.cfg").read_text("utf-8")
    for name in ("intake", "internal"):
        line = f"    server {name}1 127.0.0.1:8000\n"
        lines = (f"    server {name}{number} {one}\n" for number, one in enumerate(upstreams))
        site = _placed(site, (line, "".join(lines)))
    pem = "{directory}/server.pem"
    site = _placed(
        site,
        ("crt /etc/haproxy/intake.example.com.pem crt /etc/haproxy/internal.example.com.pem", f"crt {pem}"),
        ("0.0.0.0:443", f"0.0.0.0:{https}"),
        ("[::]:443", f"[::]:{https}"),
        ("0.0.0.0:80\n", f"0.0.0.0:{http}\n"),
        ("[::]:80", f"[::]:{http}"),
        ("intake.example.com", PUBLIC),
        ("internal.example.com", INTERNAL),
        ("192.0.2.0/24", INSIDE),
        ("2001:db8::/32", "::1"),
    )
    arguments = ["-db", "-f", "{directory}/haproxy.cfg"]
    return Proxy("haproxy", arguments, {"haproxy.cfg": site}, url=f"https://127.0.0.1:{https}", http_port=http)


DOCUMENTED = (documented_nginx, documented_caddy, documented_haproxy)


class Named(httpx2.HTTPTransport):
    """A transport that connects to the proxy's address and names a host in TLS and HTTP."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(verify=ssl.create_default_context(cafile=CERTIFICATE), **options)
        self._name = name

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions = {**request.extensions, "sni_hostname": self._name}
        request.headers["Host"] = f"{self._name}:{request.url.port}"
        return super().handle_request(request)


def client(proxy: Proxy, name: str = PUBLIC, *, ours: str = "127.0.0.1") -> httpx2.Client:
    """Return a client of a proxy, with a local source address, for a host."""
    url = proxy.url.replace("127.0.0.1", "[::1]") if ":" in ours else proxy.url
    return httpx2.Client(base_url=url, transport=Named(name, local_address=ours), timeout=60)


def upload_slowly(proxy: Proxy, seconds: float) -> int:
    """Submit a lead in one upload that takes this long, and return its status."""
    form = {"email": f"slow{time.monotonic_ns()}@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    request = httpx2.Request("POST", proxy.url, data=form, files={"CV": ("cv.pdf", b"x" * UPLOAD_BYTES)})
    body = request.read()

    def pieces() -> Iterator[bytes]:
        size = -(-len(body) // PIECES)
        for at in range(0, len(body), size):
            yield body[at : at + size]
            time.sleep(seconds / PIECES)

    headers = {name: request.headers[name] for name in ("Content-Type", "Content-Length")}
    with client(proxy) as public:
        return public.post("/leads/", content=pieces(), headers=headers).status_code


def _placed(text: str, *placeholders: tuple[str, str]) -> str:
    for placeholder, own in placeholders:
        assert placeholder in text, placeholder
        text = text.replace(placeholder, own)
    return text


def _nginx(site: str, *, url: str, http_port: int = 0) -> Proxy:
    arguments = ["-e", "{directory}/log", "-c", "{directory}/nginx.conf"]
    return Proxy("nginx", arguments, {"nginx.conf": NGINX, "site.conf": site}, url=url, http_port=http_port)


def _path(program: str) -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # Debian's nginx, not on ordinary users' PATH
    if (found := shutil.which(program, path=path)) is None:
        pytest.exit(f"{program} is not installed; run: apt-get install nginx-light caddy haproxy", returncode=1)
    return found

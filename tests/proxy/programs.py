"""Real nginx and Caddy, each on the very file in docs/ with its placeholders replaced, never the system's service."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from tests.postgres import unprivileged_user
from tests.system.programs import free_port

DOCS = Path(__file__).parents[2] / "docs"
TLS = Path(__file__).parents[1] / "leadctl" / "tls"
START_WITHIN_S = 20

# what stands around a file of /etc/nginx/conf.d, with everything in a directory of our own
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
CADDY = "{\n\tadmin off\n\tauto_https off\n\tstorage file_system {\n\t\troot %s/storage\n\t}\n}\n"


class Proxy:
    """A proxy as a process of an ordinary user's, in a directory of its own, until the end."""

    def __init__(self, program: str, arguments: list[str], files: Mapping[str, str], *, url: str) -> None:
        self.url = url
        self._user = unprivileged_user()
        self._directory = Path(tempfile.mkdtemp(prefix="intake-proxy-", dir="/tmp"))
        shutil.copy(TLS / "server.pem", self._directory)
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

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._directory, ignore_errors=True)


def documented_nginx(upstream: str) -> Proxy:
    """Return nginx with docs/nginx.conf; it takes IPv4 on its IPv6 socket, and so sees mapped addresses."""
    https, http = free_port(), free_port()
    site = (DOCS / "nginx.conf").read_text("utf-8")
    for placeholder, own in (
        ("127.0.0.1:8000", upstream),
        ("intake.example.com;", "localhost;"),
        ("/etc/ssl/certs/intake.example.com.pem", "{directory}/server.pem"),
        ("/etc/ssl/private/intake.example.com.key", "{directory}/server.pem"),
        ("listen 443 ssl;", ""),
        ("listen [::]:443 ssl;", f"listen [::]:{https} ssl ipv6only=off;"),
        ("listen 80;", f"listen 127.0.0.1:{http};"),
        ("listen [::]:80;", ""),
    ):
        assert placeholder in site, placeholder
        site = site.replace(placeholder, own)
    return _nginx(site, url=f"https://127.0.0.1:{https}")


def default_nginx(upstream: str) -> Proxy:
    """Return nginx that is told nothing but where to pass things on to."""
    port = free_port()
    site = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{upstream}; }} }}"
    return _nginx(site, url=f"http://127.0.0.1:{port}")


def documented_caddy(upstream: str) -> Proxy:
    """Return Caddy with docs/Caddyfile."""
    port = free_port()
    site = (DOCS / "Caddyfile").read_text("utf-8")
    block = f"https://localhost:{port}, https://127.0.0.1:{port} {{"
    certificate = "\ttls {directory}/server.pem {directory}/server.pem"
    site = site.replace("\nintake.example.com {", f"\n{block}\n{certificate}").replace("127.0.0.1:8000", upstream)
    arguments = ["run", "--adapter", "caddyfile", "--config", "{directory}/Caddyfile"]
    return Proxy("caddy", arguments, {"Caddyfile": CADDY % "{directory}" + site}, url=f"https://127.0.0.1:{port}")


def trusting() -> ssl.SSLContext:
    """Return what believes the certificate that they show."""
    return ssl.create_default_context(cafile=TLS / "ca.pem")


def _nginx(site: str, *, url: str) -> Proxy:
    arguments = ["-e", "{directory}/log", "-c", "{directory}/nginx.conf"]
    return Proxy("nginx", arguments, {"nginx.conf": NGINX, "site.conf": site}, url=url)


def _path(program: str) -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # where Debian puts nginx, and ordinary users don't look
    if (found := shutil.which(program, path=path)) is None:
        pytest.exit(f"there is no {program} to test with; install it: apt-get install nginx-light caddy", returncode=1)
    return found

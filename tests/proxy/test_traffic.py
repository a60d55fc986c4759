"""All kinds of requests through the documented proxies to a real service."""

import hashlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import insert

from intake.database import Database
from intake.database.schema import lead
from intake.leads.normalization import normalize_key
from intake.server import KEEP_ALIVE_S
from intake.settings import Settings
from tests.proxy.programs import DOCUMENTED, INTERNAL, PUBLIC, Proxy, client, documented_caddy
from tests.system.programs import INTAKE, Service, clean_environment, until

PASSWORD = "correct horse battery"
MANY = 20_000
WITHIN_S = 10
CONTENT = bytes(range(256)) * 36 * 1024  # 9 MiB


@dataclass
class ProxiedService:
    """A proxy and its service, a client of the public host, and an authenticated one of the internal host."""

    proxy: Proxy
    service: Service
    url: str
    public: httpx2.Client
    client: httpx2.Client
    forwards_early_responses: bool  # Caddy truncates a response during an upload about once in 16 times

    def submit(self, content: bytes, *, path: str = "/leads/", **headers: str) -> httpx2.Response:
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        return self.public.post(path, data=form, files={"CV": ("cv.pdf", content)}, headers=headers)

    def submitted(self, content: bytes) -> str:
        """Submit a lead and return its internal path."""
        answer = self.submit(content)
        assert answer.status_code == 204, answer.text
        [newest] = self.client.get("/internal/leads/?order=desc&limit=1").json()
        return f"/internal/leads/{newest['id']}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service")
    settings = {"INTAKE_TRUSTED_PROXIES": "127.0.0.1", "INTAKE_MAX_CV_BYTES": "10MiB", "INTAKE_RATE_LIMIT": "off"}
    environment = clean_environment(directory, **settings)
    with Service(environment, directory) as started:
        subprocess.run(
            [INTAKE, "create-user", "ada", "--password-stdin"],
            input=PASSWORD.encode(),
            env=environment,
            cwd=directory,
            check=True,
        )
        fill(directory)
        yield started


def fill(directory: Path) -> None:
    """Insert enough leads for a list of many chunks."""
    person = {"email": "grace@example.com", "f_name": "Grace", "l_name": "Hopper"}
    keys = {f"{name}_key": normalize_key(value) for name, value in person.items()}
    row = {**person, **keys, "CV_name": "cv", "state": "PENDING"}
    with closing(Database(Settings(database_url=f"sqlite:///{directory}/intake.db"), connections=1)) as database:
        database.write(lambda connection: connection.execute(insert(lead), [row] * MANY))


@pytest.fixture(scope="module", params=DOCUMENTED)
def proxied(request: pytest.FixtureRequest, service: Service) -> Iterator[ProxiedService]:
    make: Callable[[str], Proxy] = request.param
    with make(service.url.removeprefix("http://")) as proxy:
        with client(proxy) as public, client(proxy, INTERNAL) as internal:
            login = internal.post("/internal/auth/login", json={"username": "ada", "password": PASSWORD})
            internal.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
            url = proxy.url.replace("127.0.0.1", PUBLIC)
            yield ProxiedService(
                proxy, service, url, public, internal, forwards_early_responses=make is not documented_caddy
            )


def test_large_cv_upload_download_and_range(proxied: ProxiedService) -> None:
    path = proxied.submitted(CONTENT)
    answer = proxied.client.get(f"{path}/cv-download")
    assert answer.content == CONTENT
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    tag = answer.headers["ETag"]
    assert hashlib.sha256(CONTENT).hexdigest() in tag
    part = proxied.client.get(f"{path}/cv-download", headers={"Range": "bytes=5000000-5000099", "If-Range": tag})
    assert (part.status_code, part.content) == (206, CONTENT[5_000_000:5_000_100])
    assert part.headers["Content-Range"] == f"bytes 5000000-5000099/{len(CONTENT)}"
    assert proxied.client.get(f"{path}/cv-download", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("size", [10 * 2**20 + 1, 11 * 2**20, 40 * 2**20])
def test_oversized_upload_gets_the_services_413(proxied: ProxiedService, tmp_path: Path, size: int) -> None:
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        file.truncate(size)
    # curl, because it reads a response before the upload ends, like browsers
    command = ["curl", "--silent", "--insecure", "--include", "--header", "Expect:", "--form", f"CV=@{large}"]
    done = subprocess.run([*command, f"{proxied.url}/leads/"], capture_output=True, text=True, timeout=60)
    assert re.match(r"HTTP/[\d.]+ 413 ", done.stdout)
    assert "application/problem+json" in done.stdout
    if proxied.forwards_early_responses:
        assert '"title":"Body too large"' in done.stdout


def test_list_is_streamed_completely(proxied: ProxiedService) -> None:
    with proxied.client.stream("GET", "/internal/leads/") as answer:
        assert "Content-Length" not in answer.headers
        answer.read()
    assert len(answer.json()) >= MANY


def test_head_has_no_body_and_the_connection_stays_open(proxied: ProxiedService) -> None:
    path = proxied.submitted(b"a CV")
    for target in ("/healthz", path, f"{path}/cv-download", "/internal/leads/?limit=2"):
        head = proxied.client.head(target)
        assert (head.status_code, head.content) == (200, b""), target
    assert proxied.client.get("/healthz").json() == {"status": "up"}


@pytest.mark.parametrize("path", ["/leads", "/leads/"])
def test_missing_slash_does_not_redirect(proxied: ProxiedService, path: str) -> None:
    assert proxied.submit(b"a CV", path=path).status_code == 204


def test_browser_form_gets_an_html_response(proxied: ProxiedService) -> None:
    answer = proxied.submit(b"", Accept="text/html,*/*;q=0.8")
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "text/html; charset=utf-8")


def test_encoded_slash_is_not_a_path_separator(proxied: ProxiedService) -> None:
    assert proxied.client.get("/internal/leads/1%2Fhistory").status_code == 404


def test_idle_upstream_connection_loses_no_upload(proxied: ProxiedService) -> None:
    assert proxied.submit(b"a CV").status_code == 204
    time.sleep(KEEP_ALIVE_S + 0.2)
    assert proxied.submit(b"a CV").status_code == 204


def test_request_id_of_the_proxy_is_in_both_logs(proxied: ProxiedService) -> None:
    for asking in (proxied.public, proxied.client):
        answer = asking.get("/healthz", headers={"X-Request-ID": "the-id-of-a-client"})
        request_id = answer.headers["X-Request-ID"]
        assert request_id != "the-id-of-a-client"

        def is_logged(request_id: str = request_id) -> bool:
            return request_id in proxied.proxy.logs and request_id in "".join(proxied.service.log)

        until(is_logged, within_s=WITHIN_S)

"""What passes through real proxies with the documented settings: every kind of request, to a real service."""

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

from intake.cli import KEEP_ALIVE_S
from intake.database import Database
from intake.database.schema import lead
from intake.leads.normalization import normalize_key
from intake.settings import Settings
from tests.proxy.programs import INTERNAL, PUBLIC, Proxy, client, documented_caddy, documented_nginx
from tests.system.programs import INTAKE, Service, clean_environment

PASSWORD = "correct horse battery"
MANY = 20_000
CONTENT = bytes(range(256)) * 36 * 1024  # 9 MiB


@dataclass
class Door:
    """A proxy before a service, a client of the public host, and one of the internal host with an attorney's token."""

    url: str
    public: httpx2.Client
    client: httpx2.Client
    tells_why: bool  # Caddy cuts off what is answered to an upload that is under way, about once in sixteen times

    def submit(self, content: bytes, *, path: str = "/leads/", **headers: str) -> httpx2.Response:
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        return self.public.post(path, data=form, files={"CV": ("cv.pdf", content)}, headers=headers)

    def submitted(self, content: bytes) -> str:
        """Send in a lead, and return its path."""
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
    """Write so many leads down that a list of them is many chunks."""
    person = {"email": "grace@example.com", "f_name": "Grace", "l_name": "Hopper"}
    keys = {f"{name}_key": normalize_key(value) for name, value in person.items()}
    row = {**person, **keys, "CV_name": "cv", "state": "PENDING"}
    with closing(Database(Settings(database_url=f"sqlite:///{directory}/intake.db"), connections=1)) as database:
        database.write(lambda connection: connection.execute(insert(lead), [row] * MANY))


@pytest.fixture(scope="module", params=[documented_nginx, documented_caddy])
def door(request: pytest.FixtureRequest, service: Service) -> Iterator[Door]:
    make: Callable[[str], Proxy] = request.param
    with make(service.url.removeprefix("http://")) as proxy:
        with client(proxy) as public, client(proxy, INTERNAL) as internal:
            login = internal.post("/internal/auth/login", json={"username": "ada", "password": PASSWORD})
            internal.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
            url = proxy.url.replace("127.0.0.1", PUBLIC)
            yield Door(url, public, internal, tells_why=make is documented_nginx)


def test_a_large_cv_goes_in_and_comes_out_whole_or_in_part(door: Door) -> None:
    path = door.submitted(CONTENT)
    answer = door.client.get(f"{path}/cv-download")
    assert answer.content == CONTENT
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    tag = answer.headers["ETag"]
    assert hashlib.sha256(CONTENT).hexdigest() in tag
    part = door.client.get(f"{path}/cv-download", headers={"Range": "bytes=5000000-5000099", "If-Range": tag})
    assert (part.status_code, part.content) == (206, CONTENT[5_000_000:5_000_100])
    assert part.headers["Content-Range"] == f"bytes 5000000-5000099/{len(CONTENT)}"
    assert door.client.get(f"{path}/cv-download", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("size", [10 * 2**20 + 1, 11 * 2**20, 40 * 2**20])
def test_what_is_too_large_is_refused_by_the_service_in_its_own_words(door: Door, tmp_path: Path, size: int) -> None:
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        file.truncate(size)
    # curl, since it reads an answer that comes before all is sent, as browsers do
    command = ["curl", "--silent", "--insecure", "--include", "--header", "Expect:", "--form", f"CV=@{large}"]
    done = subprocess.run([*command, f"{door.url}/leads/"], capture_output=True, text=True, timeout=60)
    assert re.match(r"HTTP/[\d.]+ 413 ", done.stdout)
    assert "application/problem+json" in done.stdout
    if door.tells_why:
        assert '"title":"Body too large"' in done.stdout


def test_a_list_is_streamed_and_whole(door: Door) -> None:
    with door.client.stream("GET", "/internal/leads/") as answer:
        assert "Content-Length" not in answer.headers
        answer.read()
    assert len(answer.json()) >= MANY


def test_head_is_answered_without_a_body_and_the_connection_lives_on(door: Door) -> None:
    path = door.submitted(b"a CV")
    for target in ("/healthz", path, f"{path}/cv-download", "/internal/leads/?limit=2"):
        head = door.client.head(target)
        assert (head.status_code, head.content) == (200, b""), target
    assert door.client.get("/healthz").json() == {"status": "up"}


@pytest.mark.parametrize("path", ["/leads", "/leads/"])
def test_no_slash_is_added_and_nothing_redirects(door: Door, path: str) -> None:
    assert door.submit(b"a CV", path=path).status_code == 204


def test_a_browsers_form_is_answered_with_a_page(door: Door) -> None:
    answer = door.submit(b"", Accept="text/html,*/*;q=0.8")
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "text/html; charset=utf-8")


def test_a_slash_in_a_name_is_not_taken_for_one_in_a_path(door: Door) -> None:
    assert door.client.get("/internal/leads/1%2Fhistory").status_code == 404


def test_a_connection_that_the_service_would_have_closed_costs_no_upload(door: Door) -> None:
    assert door.submit(b"a CV").status_code == 204
    time.sleep(KEEP_ALIVE_S + 0.2)
    assert door.submit(b"a CV").status_code == 204

"""CVs in an S3-compatible store: a real server of its protocol, real requests."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from secrets import token_hex
from typing import Any

import httpx2
import obstore
import pytest
from obstore.store import from_url
from sqlalchemy import select

from intake.cvs import orphans
from intake.database.schema import cv, lead
from tests.conftest import Intake

CONTENT = bytes(range(256)) * 32_000  # 8 MB: an upload of several parts
START_WITHIN_S = 30


class S3:
    """A server in a process of its own, with a bucket."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it empty, and make the bucket."""
        command = [sys.executable, "-m", "moto.server", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_WITHIN_S
        while True:
            try:
                assert httpx2.put(f"{self.url}/cvs").status_code == 200
                return
            except httpx2.TransportError:
                assert time.monotonic() < until
                time.sleep(0.1)

    def stop(self) -> None:
        """End it; it forgets all."""
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    server = S3()
    server.start()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**keys, "AWS_ENDPOINT_URL": server.url, "AWS_ALLOW_HTTP": "true"}.items():
            environment.setenv(name, value)
        yield server
    server.stop()


@pytest.fixture
def firm(s3: S3, start: Callable[..., Intake]) -> Intake:
    """A service that keeps its CVs there, under a prefix of its own."""
    intake = start(cv_store=f"s3://cvs/firms/{token_hex(8)}")
    intake.client.headers.update(intake.bearer(intake.user()))
    return intake


def key(intake: Intake, lead_id: int) -> str:
    """Return a CV's key in the bucket."""
    query = select(cv.c.store_url, cv.c.store_key).where(cv.c.lead_id == lead_id)
    store_url, store_key = intake.read(lambda c: c.execute(query).one())
    assert store_url == intake.settings.cv_store
    return f"{store_url}/{store_key}".removeprefix("s3://cvs/")


def download(intake: Intake, lead_id: int) -> Any:
    return intake.client.get(f"/internal/leads/{lead_id}/cv-download")


@pytest.mark.parametrize("content", [b"x", CONTENT])
def test_the_row_says_where_it_is(s3: S3, firm: Intake, content: bytes) -> None:
    lead_id = firm.submitted(CV=("cv.bin", content))
    assert bytes(obstore.get(from_url("s3://cvs"), key(firm, lead_id)).bytes()) == content
    assert download(firm, lead_id).content == content


def test_a_damaged_one_is_never_given_out_whole(s3: S3, firm: Intake) -> None:
    small, large = firm.submitted(CV=("s", b"a CV")), firm.submitted(CV=("l", CONTENT))
    obstore.put(from_url("s3://cvs"), key(firm, small), b"a VC")
    obstore.put(from_url("s3://cvs"), key(firm, large), CONTENT[:-1] + b"!")
    assert download(firm, small).json()["title"] == "CV damaged"
    with firm.client.stream("GET", f"/internal/leads/{large}/cv-download") as cut:
        assert len(b"".join(cut.iter_raw())) < len(CONTENT)


def test_orphans_are_collected_and_nothing_else(s3: S3, firm: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = firm.submitted()
    orphan = key(firm, kept).rpartition("/")[0] + f"/{token_hex(16)}"
    obstore.put(from_url("s3://cvs"), orphan, b"x")
    assert firm.settings.cv_store is not None
    assert list(orphans.collect(firm.database, firm.settings.cv_store)) == [0], "it is younger than a day"
    monkeypatch.setattr(orphans, "AGE", timedelta(seconds=-10))
    assert list(orphans.collect(firm.database, firm.settings.cv_store)) == [0, 1]
    with pytest.raises(FileNotFoundError):
        obstore.head(from_url("s3://cvs"), orphan)
    assert download(firm, kept).status_code == 200


def test_a_store_that_is_away_is_503_and_works_again_by_itself(s3: S3, firm: Intake) -> None:
    lead_id = firm.submitted()
    s3.stop()
    answer = firm.submit()
    assert (answer.status_code, answer.json()["title"]) == (503, "Storage unavailable")
    assert answer.headers["Retry-After"]
    assert download(firm, lead_id).status_code == 503
    assert firm.count(lead) == 1
    s3.start()
    assert firm.submit().status_code == 204
    assert download(firm, lead_id).status_code == 503, "this server forgot it"

"""Abort of running responses when their user loses access."""

import os
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert

from intake.app import create_app
from intake.database import Database
from intake.database.schema import lead
from intake.http import streaming
from intake.leads.normalization import normalize_key
from intake.settings import Settings
from intake.users import accounts
from tests.conftest import PASSWORD, SECRET, Databases
from tests.system.test_slow_readers import LITTLE, Server
from tests.system.wire import Wire

CV = b"%PDF-1.4 " + os.urandom(8 * 2**20)
LEADS = 30_000  # 5 MB
FORM = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
BODY = b'{"email": "ada@example.com"}'
REQUESTS = {
    "list": b"GET /internal/leads/ HTTP/1.1\r\nHost: x\r\n",
    "download": b"GET /internal/leads/1/cv-download HTTP/1.1\r\nHost: x\r\n",
    "export": b"POST /internal/persons/export HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n" % len(BODY),
}


@pytest.fixture(scope="module")
def service(databases: Databases) -> Iterator[tuple[str, Database]]:
    """The service on a database with many leads; the first has a large CV."""
    settings = Settings(database_url=databases.migrated_url(), jwt_secrets=(SECRET,), rate_limits=())
    database = Database(settings, connections=2)
    accounts.create_user(database, username="owner", password=PASSWORD, role="admin")
    server = Server(create_app(settings, with_worker=False), settings)
    server.start()
    answer = httpx2.post(f"{server.url}/leads/", data=FORM, files={"CV": ("cv.pdf", CV)}, timeout=60)
    assert answer.status_code == 204
    person = {"email": "b@example.com", "f_name": "Grace", "l_name": "Hopper"}
    keys = {f"{name}_key": normalize_key(value) for name, value in person.items()}
    row = {**person, **keys, "CV_name": "cv", "state": "PENDING"}
    database.write(lambda connection: connection.execute(insert(lead), [row] * LEADS))
    yield server.url, database
    server.stop()
    database.close()


@pytest.mark.parametrize("change", [{"disabled": True}, {"password": "eleven purple teapots"}, {"role": "attorney"}])
@pytest.mark.parametrize("kind", REQUESTS)
def test_response_is_aborted_when_its_user_loses_access(
    service: tuple[str, Database], kind: str, change: dict[str, Any]
) -> None:
    url, database = service
    username = f"{kind}-{''.join(change)}"
    accounts.create_user(database, username=username, password=PASSWORD, role="admin")
    login = httpx2.post(f"{url}/internal/auth/login", json={"username": username, "password": PASSWORD})
    request = REQUESTS[kind] + f"Authorization: Bearer {login.json()['access_token']}\r\n".encode()
    body = BODY if kind == "export" else b""
    with Wire(url) as wire:
        whole = wire.send(request + b"Connection: close\r\n\r\n" + body).rest()
    assert len(whole) > 4_000_000
    with Wire(url, receive_buffer=LITTLE) as wire:
        wire.send(request + b"Connection: close\r\n\r\n" + body)
        part = wire.socket.recv(LITTLE)
        accounts.update_user(database, username=username, **change)
        time.sleep(streaming.CHECK_INTERVAL_S)
        part += wire.rest()
    assert part.startswith(b"HTTP/1.1 200 OK")
    assert len(part) < len(whole) / 2
    assert not part.endswith(b"0\r\n\r\n"), "a truncated response must not look complete"

"""Refusal of requests whose user loses access while the body is still arriving."""

import json
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import func, insert, select

from intake.app import create_app
from intake.database import Database
from intake.database.schema import lead, user_account
from intake.http.routing import Access, Operation
from intake.internal_api.examples import EXAMPLES
from intake.internal_api.routes import OPERATIONS
from intake.settings import Settings
from intake.users import accounts
from intake.users.tokens import Claims, TokenSigner
from tests.conftest import PASSWORD, QUICK_HASH, SECRET, Databases
from tests.system.test_slow_readers import Server
from tests.system.wire import Wire

WITH_BODY = [op for op in OPERATIONS if (op.body or op.form) and op.access is not Access.OPEN]
FOR_ADMINS = [op for op in WITH_BODY if op.access is Access.ADMIN or op.path.endswith("/register")]
PART = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
FIELDS = {"email": "eve@example.com", "f_name": "Eve", "l_name": "Moneypenny"}
FORM = "".join(PART.format(name, "", value) for name, value in FIELDS.items())
FORM += PART.format("CV", '; filename="cv.pdf"', "%PDF-1.4 a CV") + "--x--\r\n"

Service = tuple[str, Database]


@pytest.fixture(scope="module")
def service(databases: Databases) -> Iterator[Service]:
    settings = Settings(database_url=databases.migrated_url(), jwt_secrets=(SECRET,), rate_limits=())
    database = Database(settings, connections=2)
    accounts.create_user(database, username="owner", password=PASSWORD, role="admin")
    server = Server(create_app(settings, with_worker=False), settings)
    server.start()
    yield server.url, database
    server.stop()
    database.close()


def parked(service: Service, operation: Operation, username: str) -> Wire:
    """Send a new administrator's request up to its body, and return once the service waits for the body."""
    url, database = service
    row = {"username": username, "username_key": username.casefold(), "password_hash": QUICK_HASH, "role": "admin"}
    account = insert(user_account).values(row).returning(user_account.c.id)
    user_id = database.write(lambda connection: connection.execute(account).scalar_one())
    token = TokenSigner((SECRET,)).encode(Claims(user_id, int(time.time()), 0))
    path = operation.path.replace("{id}", "1").replace("{name}", "owner")
    kind = "multipart/form-data; boundary=x" if operation.form else "application/json"
    wire = Wire(url).send(
        f"{operation.method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body_of(operation))}\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    assert wire.socket.recv(2**10).startswith(b"HTTP/1.1 100 ")
    return wire


def body_of(operation: Operation) -> bytes:
    return (FORM if operation.body is None else json.dumps(EXAMPLES[operation.body])).encode()


def state_of(database: Database) -> list[object]:
    counts = [select(func.count()).select_from(table) for table in (lead, user_account)]
    return database.read(lambda connection: [connection.execute(query).scalar_one() for query in counts])


def name_of(operation: Operation) -> str:
    return operation.endpoint.__name__


@pytest.mark.parametrize("change", [{"disabled": True}, {"password": "eleven purple teapots"}], ids="".join)
@pytest.mark.parametrize("operation", WITH_BODY, ids=name_of)
def test_a_revoked_user_can_not_finish_a_request(
    service: Service, operation: Operation, change: dict[str, object]
) -> None:
    database, username = service[1], f"{name_of(operation)}-{''.join(change)}"
    with parked(service, operation, username) as wire:
        accounts.update_user(database, username=username, **change)  # type: ignore[arg-type]
        before = state_of(database)
        assert wire.send(body_of(operation)).answer().status == 401
    assert state_of(database) == before


@pytest.mark.parametrize("operation", FOR_ADMINS, ids=name_of)
def test_a_demoted_administrator_can_not_finish_a_request(service: Service, operation: Operation) -> None:
    database, username = service[1], f"{name_of(operation)}-demoted"
    with parked(service, operation, username) as wire:
        accounts.update_user(database, username=username, role="attorney")
        before = state_of(database)
        assert wire.send(body_of(operation)).answer().status == 403
    assert state_of(database) == before

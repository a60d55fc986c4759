"""POST /internal/auth/login with many concurrent logins: order and limits."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
from httpx2 import Response
from sqlalchemy import select, update
from starlette.testclient import TestClient

from intake.database.clock import Now
from intake.database.schema import audit, user_account
from intake.errors import PermissionDenied, UserNotFound
from intake.users import authentication
from intake.users.authentication import AllowedLogins
from intake.users.login_throttle import FREE_ATTEMPTS
from tests.conftest import PASSWORD, Intake
from tests.intake.internal_api.hashing import all_taken, await_waiting

HOME, OFFICE, PHONE = "192.0.2.1", "198.51.100.1", "203.0.113.1"


def log_in(intake: Intake, username: str = "ada", password: str = PASSWORD, *, client: str = HOME) -> Response:
    at = TestClient(intake.client.app, client=(client, 5000), raise_server_exceptions=False)
    at.app_state.update(intake.client.app_state)
    return at.post("/internal/auth/login", json={"username": username, "password": password})


@pytest.fixture
def ada(intake: Intake) -> Intake:
    """The service after a login of ada from HOME."""
    intake.user()
    assert log_in(intake).status_code == 200
    return intake


def other_address(number: int) -> str:
    return f"2001:db8:1:{number}::1"


@pytest.mark.parametrize("name", ["ada", "nobody", "no\0body"])
def test_at_most_two_logins_per_network_wait(ada: Intake, name: str) -> None:
    with ThreadPoolExecutor(2) as pool, all_taken(ada) as queue:
        waiting = [pool.submit(log_in, ada, name, "wrong", client=other_address(number)) for number in range(2)]
        await_waiting(queue, 2)
        refused = log_in(ada, name, "wrong", client=other_address(2))
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
    assert (refused.json()["title"], refused.json()["detail"]) == (
        "Too many logins",
        "too many logins are waiting; try again later",
    )
    assert [answer.result().status_code for answer in waiting] == [401, 401]
    text = ada.client.get("/metrics").text
    assert 'intake_logins_total{outcome="refused"} 1.0' in text
    assert 'reason="logins"} 1.0' in text


def test_known_addresses_precede_anonymous_clients(ada: Intake) -> None:
    order: list[str] = []

    def enter(name: str, username: str, client: str) -> None:
        log_in(ada, username, client=client)
        order.append(name)

    with ThreadPoolExecutor(5) as pool, all_taken(ada) as queue:
        for number in range(4):
            pool.submit(enter, "anonymous", "nobody", f"2001:db8:{number}::1")
        await_waiting(queue, 4)
        assert log_in(ada, "ada", client=PHONE).status_code == 429, "a login from a new address is not guaranteed"
        pool.submit(enter, "ada", "ada", HOME)
        await_waiting(queue, 5)
    assert order[0] == "ada"


def test_password_changes_with_a_token_precede_logins(ada: Intake) -> None:
    bearer, change = ada.bearer(1), {"old": PASSWORD, "new": "a new correct horse"}
    with ThreadPoolExecutor(5) as pool, all_taken(ada) as queue:
        for number in range(4):
            pool.submit(log_in, ada, "nobody", client=f"2001:db8:{number}::1")
        await_waiting(queue, 4)
        changed = pool.submit(ada.client.put, "/internal/auth/password", json=change, headers=bearer)
        await_waiting(queue, 5)
    assert changed.result().status_code == 200


def test_one_address_can_not_fill_the_users_queue(ada: Intake) -> None:
    with ThreadPoolExecutor(9) as pool, all_taken(ada) as queue:
        first = [pool.submit(log_in, ada) for _ in range(8)]
        await_waiting(queue, 8)
        assert log_in(ada).status_code == 429
        ada.client.app_state["login_throttle"].remember("ada", OFFICE)
        elsewhere = pool.submit(log_in, ada, client=OFFICE)
        await_waiting(queue, 9)
    assert {answer.result().status_code for answer in (*first, elsewhere)} == {200}


def test_a_disconnect_frees_the_slot_in_the_queue(ada: Intake) -> None:
    body = b'{"username": "nobody", "password": "wrong"}'
    headers = [(b"host", b"testserver"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/internal/auth/login",
        "raw_path": b"/internal/auth/login",
        "query_string": b"",
        "headers": headers,
        "client": (other_address(0), 5000),
        "server": ("testserver", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "state": dict(ada.client.app_state),
    }

    app: Any = ada.client.app

    async def leave(queue: Any) -> None:
        gone, sent = anyio.Event(), [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if sent:
                return sent.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(_message: object) -> None:
            pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, receive, send)
            await anyio.to_thread.run_sync(await_waiting, queue, 1)
            gone.set()

    with all_taken(ada) as queue:
        anyio.run(leave, queue)
        assert queue.waiting == 0


def allow(intake: Intake, *, for_s: float = 3600, client: str | None = None) -> None:
    authentication.allow(intake.database, username="ADA", for_s=for_s, client=client)
    time.sleep(authentication.READ_EVERY_S)


def test_allowed_logins_succeed_while_many_addresses_guess(ada: Intake) -> None:
    for number in range(FREE_ATTEMPTS + 1):
        log_in(ada, password="wrong", client=f"2001:db8:{number}::1")
    assert log_in(ada, client=PHONE).status_code == 429
    allow(ada)
    with ThreadPoolExecutor(5) as pool, all_taken(ada) as queue:
        for number in range(4):
            pool.submit(log_in, ada, "nobody", client=f"2001:db8:{number}::1")
        await_waiting(queue, 4)
        owner = pool.submit(log_in, ada, client=PHONE)
        await_waiting(queue, 5)
    assert owner.result().status_code == 200


def test_allowed_logins_succeed_behind_a_guessing_address(ada: Intake) -> None:
    for _ in range(FREE_ATTEMPTS):
        assert log_in(ada, "nobody", "wrong", client=OFFICE).status_code == 401
    assert log_in(ada, client=OFFICE).status_code == 429
    allow(ada)
    assert [log_in(ada, password=password, client=OFFICE).status_code for password in ("typo", PASSWORD)] == [401, 200]
    assert log_in(ada, client=OFFICE).status_code == 200, "the address is known from now on"


def test_allowed_logins_succeed_after_guesses_from_the_same_address(ada: Intake) -> None:
    for _ in range(FREE_ATTEMPTS):
        assert log_in(ada, password="wrong").status_code == 401
    assert log_in(ada).status_code == 429
    allow(ada)
    assert log_in(ada).status_code == 200


def test_allowed_logins_succeed_from_another_address_during_guesses(ada: Intake) -> None:
    for _ in range(FREE_ATTEMPTS):
        log_in(ada, password="wrong")
    allow(ada)
    statuses = [log_in(ada, password="wrong").status_code for _ in range(30)]
    assert statuses.count(401) == 3, "one address may use three of the six tries per minute"
    assert log_in(ada).status_code == 429, "not guaranteed: the attacker used them"
    assert log_in(ada, client=PHONE).status_code == 200


def test_logins_from_the_allowed_address_succeed_while_many_guess_the_same_name(ada: Intake) -> None:
    guessers = [f"2001:db8:{number}::1" for number in range(FREE_ATTEMPTS + 1)]

    def guess() -> None:
        for client in guessers * 3:
            log_in(ada, password="wrong", client=client)

    guess()
    allow(ada)
    guess()
    assert log_in(ada, client=PHONE).status_code == 429, "the guesses used up all tries of this minute"
    allow(ada, client=PHONE)
    guess()
    assert [log_in(ada, password=password, client=PHONE).status_code for password in ("typo", PASSWORD)] == [401, 200]


def test_an_allowance_expires_and_is_recorded(ada: Intake) -> None:
    for number in range(FREE_ATTEMPTS):
        log_in(ada, password="wrong", client=f"2001:db8:{number}::1")
    allow(ada)
    ada.write(lambda connection: connection.execute(update(user_account).values(login_allowed_until=Now())))
    assert log_in(ada, client=PHONE).status_code == 429
    query = select(audit.c.subject_id, audit.c.detail, audit.c.client).where(audit.c.action == "login-allowed")
    assert ada.read(lambda connection: connection.execute(query).all()) == [(1, "for 3600 s", None)]


def test_unknown_and_disabled_users_are_not_allowed(intake: Intake) -> None:
    intake.user("ada", disabled=True)
    for name in ("nobody", "no\0body"):
        with pytest.raises(UserNotFound):
            authentication.allow(intake.database, username=name, for_s=60)
        assert not AllowedLogins(intake.database).tries(name, PHONE)
    with pytest.raises(PermissionDenied, match="leadctl users enable"):
        allow(intake)
    assert not AllowedLogins(intake.database).tries("ada", PHONE)


def test_replicas_count_separately_without_a_store(ada: Intake, start: Callable[..., Intake]) -> None:
    twin = start(database_url=ada.settings.database_url)
    for each in (ada, twin):
        for _ in range(FREE_ATTEMPTS):
            log_in(each, "nobody", "wrong", client=OFFICE)
    allow(ada)
    for each in (ada, twin):
        assert [log_in(each, password="wrong", client=OFFICE).status_code for _ in range(4)] == [401] * 3 + [429]

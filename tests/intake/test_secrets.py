"""No disclosure of passwords, tokens or rejected values in responses, logs or metrics."""

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import text
from starlette.testclient import TestClient

from intake.database.schema import audit
from tests.conftest import PASSWORD, Intake

MARKED = "marked-secret-2b7e"


@pytest.fixture
def admin(intake: Intake) -> TestClient:
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    return intake.client


def bodies() -> list[bytes]:
    """Return invalid bodies that contain the secret."""
    marked = MARKED.encode()
    return [
        b'{"username": "ada", "password": "%s"' % marked,
        b'{"username": "ada", "password": "%s\x00"}' % marked,
        b'{"username": "ada", "password": "%s\xff"}' % marked,
        b'{"username": "ada", "password": "\\ud800%s"}' % marked,
        b'{"username": "ada", "password": ["%s"]}' % marked,
        b'{"username": "ada", "password": {"x": "%s"}}' % marked,
        b'{"username": {"x": "%s"}, "password": null}' % marked,
        b'{"username": "%s", "password": 1, "old": "%s", "new": "%s"}' % (marked, marked, marked),
        b'{"old": "%s", "new": 1}' % marked,
        b'{"old": "wrong", "new": "%s", "role": "%s", "disabled": "%s"}' % (marked, marked, marked),
        b'"%s"' % marked,
        b'["%s"]' % marked,
        b"%s" % marked,
        b'{"username": "ada", "password": "%s"}' % (marked * 6000),
        b'{"username": "ada", "password": "%s"}' % (marked * 10),
        b'{"username": "%s %s", "password": "short"}' % (marked, marked),
        b'{"username": "%s", "password": "%s"}' % (marked, marked),
    ]


ROUTES = (
    ("POST", "/internal/auth/login"),
    ("POST", "/internal/auth/register"),
    ("PUT", "/internal/auth/password"),
    ("PATCH", "/internal/users/ada"),
)


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda part: part.strip("/").replace("/", "-"))
def test_rejected_values_are_not_disclosed(
    admin: TestClient, intake: Intake, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for body in bodies():
            answer = admin.request(method, path, content=body, headers={"Content-Type": "application/json"})
            assert 400 <= answer.status_code < 500, (body[:80], answer.text)
            assert not discloses(answer), (body[:80], answer.text)
        admin.request(method, path, content=bodies()[0], headers={"Content-Type": f"text/{MARKED}"})
    assert MARKED not in caplog.text.replace(f"text/{MARKED}", "")
    assert MARKED not in admin.get("/metrics").text
    assert MARKED not in str(intake.read(lambda connection: connection.execute(audit.select()).all()))


def discloses(answer: Response) -> bool:
    return MARKED in answer.text or MARKED in str(answer.headers)


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "Digest"])
def test_an_invalid_token_is_not_disclosed(intake: Intake, scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = intake.client.get("/internal/auth/me", headers={"Authorization": f"{scheme} {MARKED}.e30.x"})
    assert answer.status_code == 401
    assert not discloses(answer)
    assert MARKED not in caplog.text


def defects(intake: Intake) -> list[BaseException]:
    """Send secrets to a broken database, and return the exceptions."""
    raised: list[BaseException] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        try:
            await intake.client.app(scope, receive, send)
        except Exception as error:
            raised.append(error)
            raise

    client = TestClient(watched, raise_server_exceptions=False)
    client.app_state.update(intake.client.app_state)
    user = intake.bearer(intake.user("harriet", role="admin"))
    intake.write(lambda connection: connection.execute(text("ALTER TABLE user_account RENAME COLUMN role TO gone")))
    for method, path in ROUTES:
        body = (
            {"username": MARKED, "password": MARKED} if path.endswith(("login", "register")) else {"password": MARKED}
        )
        body = {"old": PASSWORD, "new": MARKED} if path.endswith("password") else body
        answer = client.request(method, path, json=body, headers=user if "login" not in path else None)
        assert answer.status_code in (500, 503), answer.text
        assert not discloses(answer)
    return raised


def test_a_defect_discloses_no_secrets(start: Callable[..., Intake], caplog: pytest.LogCaptureFixture) -> None:
    intake = start()
    with caplog.at_level(logging.DEBUG):
        raised = defects(intake)
    tracebacks = "".join("".join(traceback.format_exception(error)) for error in raised)
    assert MARKED not in tracebacks
    assert MARKED not in caplog.text
    assert MARKED not in intake.client.get("/metrics").text

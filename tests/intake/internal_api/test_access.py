"""Access control: the internal API requires a token by default."""

import time
from collections.abc import Callable

import jwt
import pytest
from sqlalchemy import update

from intake.database.clock import Now
from intake.database.schema import user_account
from intake.http.routing import Access
from intake.internal_api.routes import OPERATIONS
from intake.users.tokens import Claims
from tests.conftest import SECRET, Intake

OPEN = {"/internal/auth/login", "/internal/auth/register"}


def test_only_these_routes_need_no_token() -> None:
    closed = (Access.BEARER, Access.ADMIN)
    assert {operation.path for operation in OPERATIONS if operation.access not in closed} == OPEN


@pytest.mark.parametrize(
    "operation", [op for op in OPERATIONS if op.path not in OPEN], ids=lambda op: op.endpoint.__name__
)
def test_a_closed_route_checks_the_token_first(intake: Intake, operation: object) -> None:
    path = operation.path.replace("{id}", "1")  # type: ignore[attr-defined]
    answer = intake.client.request(operation.method, path, content=b"no json")  # type: ignore[attr-defined]
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["title"] == "Not authenticated"


def forged(**changes: object) -> Callable[[int], str]:
    now = int(time.time())
    good = {"sub": "1", "iat": now, "exp": now + 60, "auth_time": now, "gen": 0}
    return lambda _user_id: jwt.encode({**good, **changes}, SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "bearer a.b.c", "Bearer a b c", "Bearer \xe9"],
)
def test_headers_without_a_token(intake: Intake, authorization: str) -> None:
    answer = intake.client.get("/internal/auth/me", headers=[(b"Authorization", authorization.encode("latin-1"))])
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "changes",
    [{"exp": 1}, {"sub": "2"}, {"sub": "-1"}, {"sub": str(2**64)}, {"sub": "9" * 5000}, {"gen": 1}, {"sub": 1}],
    ids=str,
)
def test_invalid_tokens(intake: Intake, changes: dict[str, object]) -> None:
    intake.user()
    token = forged(**changes)(1)
    answer = intake.client.get("/internal/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401, answer.text


def test_a_token_without_an_algorithm(intake: Intake) -> None:
    user_id = intake.user()
    claims = {"sub": str(user_id), "iat": 0, "exp": 9_999_999_999, "auth_time": 0, "gen": 0}
    token = jwt.encode(claims, "", algorithm="none")
    assert intake.client.get("/internal/auth/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_disabling_a_user_revokes_tokens_at_once(intake: Intake) -> None:
    user_id = intake.user()
    headers = intake.bearer(user_id)
    assert intake.client.get("/internal/auth/me", headers=headers).status_code == 200
    intake.write(lambda c: c.execute(update(user_account).values(disabled=True)))
    assert intake.client.get("/internal/auth/me", headers=headers).status_code == 401


def test_a_token_of_an_earlier_generation_is_invalid(intake: Intake) -> None:
    user_id = intake.user()
    intake.write(lambda c: c.execute(update(user_account).values(token_generation=1)))
    assert intake.client.get("/internal/auth/me", headers=intake.bearer(user_id)).status_code == 401
    token = intake.keys.encode(Claims(user_id, int(time.time()), 1))
    assert intake.client.get("/internal/auth/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_token_of_a_login_before_the_user_was_created_is_invalid(intake: Intake) -> None:
    user_id = intake.user()
    headers = intake.bearer(user_id)
    assert intake.client.get("/internal/auth/me", headers=headers).status_code == 200
    intake.write(lambda c: c.execute(update(user_account).values(created_at=Now(plus_s=120.0))))
    assert intake.client.get("/internal/auth/me", headers=headers).status_code == 401, "a restored database"

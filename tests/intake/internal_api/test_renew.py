"""POST /internal/auth/renew."""

import time

import jwt
from httpx2 import Response

from intake.users.tokens import SESSION_S, Claims
from tests.conftest import SECRET, Intake


def renew(intake: Intake, token: str) -> Response:
    return intake.client.post("/internal/auth/renew", headers={"Authorization": f"Bearer {token}"})


def token_since(intake: Intake, seconds: int, *, generation: int = 0) -> str:
    """Return a valid token of a login `seconds` ago."""
    return intake.keys.encode(Claims(intake.user(), int(time.time()) - seconds, generation))


def test_renewal_stays_within_the_login(intake: Intake) -> None:
    old = token_since(intake, 3600)
    answer = renew(intake, old)
    assert answer.status_code == 200
    body = answer.json()
    assert (list(body), body["expires_in"]) == (["access_token", "token_type", "expires_in"], 1800)
    assert answer.headers["Cache-Control"] == "no-store"
    before, after = (jwt.decode(token, SECRET, algorithms=["HS256"]) for token in (old, body["access_token"]))
    assert {**after, "iat": 0, "exp": 0} == {**before, "iat": 0, "exp": 0}
    assert after["exp"] - after["iat"] == 1800


def test_renewal_ends_12_hours_after_the_login(intake: Intake) -> None:
    assert SESSION_S == 12 * 3600
    assert renew(intake, token_since(intake, SESSION_S - 60)).status_code == 200


def test_a_new_login_allows_renewal_again(intake: Intake) -> None:
    answer = renew(intake, token_since(intake, SESSION_S))
    assert answer.status_code == 401
    assert answer.json()["detail"] == "the login is 12 hours old and can't be renewed; log in again"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_invalid_tokens_are_not_renewed(intake: Intake) -> None:
    assert renew(intake, token_since(intake, 60, generation=1)).status_code == 401
    assert renew(intake, "x").status_code == 401

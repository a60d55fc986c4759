"""Tokens and the secrets behind them."""

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest

from intake.errors import NotAuthenticated, SettingsInvalid
from intake.settings import Settings
from intake.users.tokens import TOKEN_TTL_S, Claims, TokenKeys

SECRET, OLD_SECRET = "n" * 32, "o" * 32
CLAIMS = Claims(user_id=7, auth_time=1_790_000_000, generation=3)


def payload(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"sub": "7", "iat": now, "exp": now + 60, "auth_time": now, "gen": 0, **changes}


def test_a_token_says_what_it_was_given() -> None:
    token = TokenKeys([SECRET]).issue(CLAIMS)
    assert TokenKeys([SECRET]).read(token) == CLAIMS
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == TOKEN_TTL_S == 1800
    assert claims["sub"] == "7"


def test_during_a_rotation_the_old_secret_is_believed_and_the_new_one_signs() -> None:
    old, both, new = TokenKeys([OLD_SECRET]), TokenKeys([SECRET, OLD_SECRET]), TokenKeys([SECRET])
    assert both.read(old.issue(CLAIMS)) == CLAIMS
    assert new.read(both.issue(CLAIMS)) == CLAIMS
    with pytest.raises(NotAuthenticated):
        new.read(old.issue(CLAIMS))


@pytest.mark.parametrize(
    "claims",
    [
        payload(exp=int(time.time()) - 1),
        payload(iat=int(time.time()) + 3600),
        payload(sub="ada"),
        payload(sub="²"),
        payload(gen="x"),
        payload(auth_time=None),
        payload(gen=None),
        payload(gen=False),
        payload(gen="0"),
        payload(gen=0.9),
        payload(auth_time=float("inf")),
        payload(sub="1 "),
        payload(sub=str(2**70)),
        {"sub": "7"},
        {name: value for name, value in payload().items() if name != "exp"},
        {name: value for name, value in payload().items() if name != "gen"},
    ],
)
def test_claims_that_are_not_ours_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated):
        TokenKeys([SECRET]).read(jwt.encode(claims, SECRET, algorithm="HS256"))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        jwt.encode(payload(), "", algorithm="none"),
        jwt.encode(payload(), "another secret of thirty-two bytes", algorithm="HS256"),
        jwt.encode(payload(), "s" * 64, algorithm="HS512"),
        jwt.encode(payload(), SECRET, algorithm="HS256")[:-2],
        jwt.encode(payload(), SECRET, algorithm="HS256", headers={"crit": ["x"]}),
        "\u20ac",
    ],
)
def test_tokens_that_are_none_of_ours_are_refused(token: str) -> None:
    with pytest.raises(NotAuthenticated):
        TokenKeys([SECRET]).read(token)


def test_with_sqlite_one_secret_is_made_and_kept_private(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'intake.db'}")
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: TokenKeys.from_settings(settings), range(8)))
    token = keys[0].issue(CLAIMS)
    assert all(key.read(token) == CLAIMS for key in keys)
    file = tmp_path / "intake.db.secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("kept", ["", "short", "é" * 40])
def test_a_kept_secret_that_is_none_is_refused(tmp_path: Path, kept: str) -> None:
    (tmp_path / "intake.db.secret").write_text(kept)
    with pytest.raises(SettingsInvalid, match=r"intake\.db\.secret"):
        TokenKeys.from_settings(Settings(database_url=f"sqlite:///{tmp_path / 'intake.db'}"))

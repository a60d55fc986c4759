"""Tokens, and the secrets that sign them."""

import base64
import hmac
import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest

from intake.errors import AuthenticationRequired, SettingsInvalid
from intake.settings import Settings
from intake.users.tokens import TOKEN_TTL_S, Claims, TokenSigner

SECRET, OLD_SECRET = "n" * 32, "o" * 32
CLAIMS = Claims(user_id=7, auth_time=1_790_000_000, generation=3)


def payload(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"sub": "7", "iat": now, "exp": now + 60, "auth_time": now, "gen": 0, **changes}


def _signed(header: Any, claims: Any, digest: str = "sha256") -> str:
    """Return a token of any shape, signed with our secret."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(SECRET.encode(), b".".join(parts), digest)
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def test_a_token_contains_its_claims() -> None:
    token = TokenSigner([SECRET]).encode(CLAIMS)
    assert TokenSigner([SECRET]).decode(token) == CLAIMS
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == TOKEN_TTL_S == 1800
    assert claims["sub"] == "7"


def test_during_a_rotation_both_secrets_are_valid_and_the_new_one_signs() -> None:
    old, both, new = TokenSigner([OLD_SECRET]), TokenSigner([SECRET, OLD_SECRET]), TokenSigner([SECRET])
    assert both.decode(old.encode(CLAIMS)) == CLAIMS
    assert new.decode(both.encode(CLAIMS)) == CLAIMS
    with pytest.raises(AuthenticationRequired):
        new.decode(old.encode(CLAIMS))


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
        payload(sub=7),
        payload(sub=["7"]),
        payload(sub="-7"),
        payload(sub=None),
        payload(exp=str(int(time.time()) + 60) + "x"),
        payload(exp=str(int(time.time()) + 60)),
        payload(exp=time.time() + 60),
        payload(exp=int(time.time()) + TOKEN_TTL_S + 60),
        payload(exp=10**30),
        payload(exp=True),
        payload(exp=None),
        payload(exp=float("inf")),
        payload(exp=float("nan")),
        payload(exp=[int(time.time()) + 60]),
        payload(iat="now"),
        payload(nbf=int(time.time()) + 3600),
        payload(aud="intake"),
        payload(sub=str(2**70)),
        {"sub": "7"},
        {name: value for name, value in payload().items() if name != "exp"},
        {name: value for name, value in payload().items() if name != "gen"},
    ],
)
def test_invalid_claims_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationRequired):
        TokenSigner([SECRET]).decode(jwt.encode(claims, SECRET, algorithm="HS256"))


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
        _signed({"alg": "HS384"}, payload(), "sha384"),  # the right secret, another algorithm
        _signed({"alg": "HS512"}, payload(), "sha512"),
        _signed({"alg": "none"}, payload()),
        _signed({"alg": "None"}, payload()),
        _signed({"alg": "RS256"}, payload()),
        _signed({"alg": ["HS256"]}, payload()),
        _signed({}, payload()),
        _signed(["HS256"], payload()),
        _signed({"alg": "HS256"}, [payload()]),
        _signed({"alg": "HS256"}, "7"),
        _signed({"alg": "HS256", "b64": False, "crit": ["b64"]}, payload()),
        jwt.encode(payload(jwt=jwt.encode(payload(), SECRET)), "another secret of thirty-two bytes"),  # nested tokens
        jwt.encode({"x": "y" * 2**20}, SECRET),
        "." * 2**16,
        "e30" * 2**16 + ".e30.e30",
    ],
    ids=lambda token: token[:20],
)
def test_invalid_tokens_are_refused(token: str) -> None:
    with pytest.raises(AuthenticationRequired):
        TokenSigner([SECRET]).decode(token)


def test_with_sqlite_one_secret_is_generated_in_a_private_file(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'intake.db'}")
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: TokenSigner.from_settings(settings), range(8)))
    token = keys[0].encode(CLAIMS)
    assert all(key.decode(token) == CLAIMS for key in keys)
    file = tmp_path / "intake.db.secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("secret", ["", "short", "é" * 40])
def test_an_invalid_stored_secret_is_refused(tmp_path: Path, secret: str) -> None:
    (tmp_path / "intake.db.secret").write_text(secret)
    with pytest.raises(SettingsInvalid, match=r"intake\.db\.secret"):
        TokenSigner.from_settings(Settings(database_url=f"sqlite:///{tmp_path / 'intake.db'}"))


@pytest.mark.parametrize("kid", ["1", "../../intake.db.secret", "' OR 1=1", "http://127.0.0.1:1/keys"])
def test_token_headers_can_not_select_a_key(kid: str) -> None:
    key_headers = {
        "kid": kid,
        "jku": "http://127.0.0.1:1/keys",
        "jwk": {"kty": "oct", "k": "eA"},
        "x5u": "http://127.0.0.1:1/",
    }
    forged = jwt.encode(payload(), "x" * 32, algorithm="HS256", headers=key_headers)
    with pytest.raises(AuthenticationRequired):
        TokenSigner([SECRET]).decode(forged)
    assert (
        TokenSigner([SECRET]).decode(jwt.encode(payload(), SECRET, algorithm="HS256", headers=key_headers)).user_id == 7
    )

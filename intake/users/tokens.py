"""Tokens: what a login is remembered by (JSON Web Tokens, RFC 7519, held to RFC 8725)."""

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jwt

from intake.errors import NotAuthenticated, SettingsInvalid
from intake.settings import Settings

TOKEN_TTL_S = 30 * 60
ALGORITHM = "HS256"


@dataclass(frozen=True)
class Claims:
    """What a token says: the user's number, the login's moment (Unix seconds), the generation it belongs to."""

    user_id: int
    auth_time: int
    generation: int


class TokenKeys:
    """The secrets that tokens are signed with: the first signs, each is believed."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def from_settings(cls, settings: Settings) -> "TokenKeys":
        """Return the keys that the settings hold, or with SQLite the one that is kept beside the file.

        Raises SettingsInvalid where PostgreSQL is used and no secret is set.
        """
        if settings.jwt_secrets:
            return cls(settings.jwt_secrets)
        if settings.sqlite_file is None:
            raise SettingsInvalid(
                ["INTAKE_JWT_SECRET is not set; with PostgreSQL it must be, e.g. to what `openssl rand -hex 32` prints"]
            )
        return cls([_kept_secret(settings.beside_database(".secret"))])

    def issue(self, claims: Claims) -> str:
        """Return a token that is good for TOKEN_TTL_S seconds."""
        now = int(time.time())
        payload = {
            "sub": str(claims.user_id),
            "iat": now,
            "exp": now + TOKEN_TTL_S,
            "auth_time": claims.auth_time,
            "gen": claims.generation,
        }
        return jwt.encode(payload, self._keys[0], algorithm=ALGORITHM)

    def read(self, token: str) -> Claims:
        """Return what the token says. Raises NotAuthenticated where it is not ours, or not good any more."""
        for key in self._keys:
            try:
                return _claims(token, key)
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError as error:
                raise NotAuthenticated("the token has expired; log in again") from error
            except (jwt.InvalidTokenError, ValueError, TypeError) as error:
                raise NotAuthenticated("the token is not valid; log in again") from error
        raise NotAuthenticated("the token is not valid; log in again")


def _claims(token: str, key: str) -> Claims:
    required = ["sub", "iat", "exp", "auth_time", "gen"]
    payload = jwt.decode(token, key, algorithms=[ALGORITHM], options={"require": required})
    claims = Claims(int(payload["sub"]), int(payload["auth_time"]), int(payload["gen"]))
    if not 0 < claims.user_id < 2**63:
        raise ValueError("no user has such a number")
    return claims


def _kept_secret(file: Path) -> str:
    """Return the secret in `file`, made where there is none: whole, private from the start, and only once."""
    if not file.exists():
        draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(secrets.token_hex(32))
        try:
            os.link(draft, file)  # fails where another process was first
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text()

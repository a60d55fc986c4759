"""Tokens: what a login is remembered by (JSON Web Tokens, RFC 7519, held to RFC 8725)."""

import os
import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import jwt

from intake.errors import AuthenticationRequired, SettingsInvalid
from intake.settings import Settings
from intake.settings.parsers import MIN_SECRET_BYTES
from intake.settings.trusted_files import ownership_fault

TOKEN_TTL_S = 30 * 60
SESSION_S = 12 * 3600  # so long after the login its tokens can be renewed
ALGORITHM = "HS256"


@dataclass(frozen=True)
class Claims:
    """What a token says: the user's number, the login's moment (Unix seconds), the generation it belongs to."""

    user_id: int
    auth_time: int
    generation: int


class TokenSigner:
    """The secrets that tokens are signed with: the first signs, each is believed."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def from_settings(cls, settings: Settings) -> "TokenSigner":
        """Return the keys that the settings hold, or with SQLite the one that is kept beside the file.

        Raises SettingsInvalid where the kept one can't be used.
        """
        if settings.jwt_secrets:
            return cls(settings.jwt_secrets)
        assert settings.sqlite_file is not None
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
        """Return what the token says. Raises AuthenticationRequired where it is not ours, or not good any more."""
        for key in self._keys:
            try:
                return _claims(token, key)
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError as error:
                raise AuthenticationRequired("the token has expired; log in again") from error
            except (jwt.InvalidTokenError, ValueError) as error:
                raise AuthenticationRequired("the token is not valid; log in again") from error
        raise AuthenticationRequired("the token is not valid; log in again")


def _claims(token: str, key: str) -> Claims:
    required = ["sub", "iat", "exp", "auth_time", "gen"]
    payload = jwt.decode(token, key, algorithms=[ALGORITHM], options={"require": required})
    issued, expires, auth_time, generation = (payload[name] for name in required[1:])
    if (
        any(type(number) is not int for number in (issued, expires, auth_time, generation))
        or expires > issued + TOKEN_TTL_S  # the library takes texts and fractions, and any length
        or not re.fullmatch(r"[1-9][0-9]{0,17}", payload["sub"])
    ):
        raise ValueError("no token of ours says that")
    return Claims(int(payload["sub"]), auth_time, generation)


def _kept_secret(file: Path) -> str:
    """Return the secret in `file`, made where there is none: whole, private from the start, and only once."""
    try:
        if not file.exists():
            _make_secret(file)
        if fault := ownership_fault(file):
            raise SettingsInvalid([fault])
        secret = file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid([f"the secret in {file} can't be used: {error}"]) from error
    if len(secret) < MIN_SECRET_BYTES:
        raise SettingsInvalid([f"the secret in {file} is too short; remove the file, and a new one is made"])
    return secret


def _make_secret(file: Path) -> None:
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "w") as writing:
            writing.write(secrets.token_hex(32))
            writing.flush()
            os.fsync(number)
        with suppress(FileExistsError):  # another process was first: its secret counts
            os.link(draft, file)
    finally:
        draft.unlink()

"""Access tokens: JSON Web Tokens (RFC 7519) with the practices of RFC 8725."""

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
SESSION_S = 12 * 3600  # the time after a login within which its tokens can be renewed
ALGORITHM = "HS256"


@dataclass(frozen=True)
class Claims:
    """The claims of a token: user id, time of login (Unix seconds), and token generation."""

    user_id: int
    auth_time: int
    generation: int


class TokenSigner:
    """Signs tokens with the first key, and verifies them with any."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def from_settings(cls, settings: Settings) -> "TokenSigner":
        """Return a signer with the keys of the settings, or for SQLite with the secret stored beside the database.

        Raises SettingsInvalid if the stored secret can't be used.
        """
        if settings.jwt_secrets:
            return cls(settings.jwt_secrets)
        assert settings.sqlite_file is not None
        return cls([_stored_secret(settings.beside_database(".secret"))])

    def encode(self, claims: Claims) -> str:
        """Return a token that is valid for TOKEN_TTL_S seconds."""
        now = int(time.time())
        payload = {
            "sub": str(claims.user_id),
            "iat": now,
            "exp": now + TOKEN_TTL_S,
            "auth_time": claims.auth_time,
            "gen": claims.generation,
        }
        return jwt.encode(payload, self._keys[0], algorithm=ALGORITHM)

    def decode(self, token: str) -> Claims:
        """Return the claims of a token. Raises AuthenticationRequired if it is invalid or has expired."""
        for key in self._keys:
            try:
                return _claims(token, key)
            except jwt.ExpiredSignatureError as error:
                raise AuthenticationRequired("the token has expired; log in again") from error
            except (jwt.InvalidTokenError, ValueError):
                continue
        raise AuthenticationRequired("the token is not valid; log in again")


def _claims(token: str, key: str) -> Claims:
    required = ["sub", "iat", "exp", "auth_time", "gen"]
    payload = jwt.decode(token, key, algorithms=[ALGORITHM], options={"require": required})
    issued, expires, auth_time, generation = (payload[name] for name in required[1:])
    if (
        any(type(number) is not int for number in (issued, expires, auth_time, generation))
        or expires > issued + TOKEN_TTL_S  # the library accepts strings, fractions and any lifetime
        or not re.fullmatch(r"[1-9][0-9]{0,17}", payload["sub"])
    ):
        raise ValueError("unexpected claims")
    return Claims(int(payload["sub"]), auth_time, generation)


def _stored_secret(file: Path) -> str:
    """Return the secret in `file`, which is created atomically with mode 0600 if it does not exist."""
    try:
        if not file.exists():
            _create_secret(file)
        if fault := ownership_fault(file):
            raise SettingsInvalid([fault])
        secret = file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid([f"the secret in {file} can't be used: {error}"]) from error
    if len(secret) < MIN_SECRET_BYTES:
        raise SettingsInvalid([f"the secret in {file} is too short; delete the file to create a new one"])
    return secret


def _create_secret(file: Path) -> None:
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))
            stream.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):  # another process was first: use its secret
            os.link(draft, file)
    finally:
        draft.unlink()

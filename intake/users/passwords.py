"""Passwords: their bounds, and their hashes."""

import unicodedata

import bcrypt

from intake.errors import FieldFault
from intake.values import MAX_PASSWORD_BYTES as MAX_BYTES
from intake.values import MIN_PASSWORD_CHARACTERS as MIN_CHARACTERS

COST = 12

# What an unknown user's password is checked against, so that it takes as long as a known one's.
_NOBODYS_HASH = "$2b$12$yS.yrVdDXMhjSTBhwIV26.3hv7U4Q6wyLi1XqYy/C.LmcY1rsOM5m"


def password_fault(password: str, *, field: str) -> FieldFault | None:
    """Return what keeps `password` from being set, or None."""
    if len(password) < MIN_CHARACTERS:
        return FieldFault(field, f"must have at least {MIN_CHARACTERS} characters")
    if len(_bytes(password)) > MAX_BYTES:
        return FieldFault(field, f"must have at most {MAX_BYTES} bytes in UTF-8")
    return None


def hash_password(password: str) -> str:
    """Return the password's bcrypt hash; a quarter of a second of work."""
    return bcrypt.hashpw(_bytes(password), bcrypt.gensalt(COST)).decode("ascii")


def matches(password: str, password_hash: str | None) -> bool:
    """Return whether the password is the one that was hashed; None stands for nobody's, and takes as long."""
    given = _bytes(password)
    found = bcrypt.checkpw(given[:MAX_BYTES], (password_hash or _NOBODYS_HASH).encode("ascii"))
    return found and password_hash is not None and len(given) <= MAX_BYTES


def _bytes(password: str) -> bytes:
    # the same characters, however a keyboard composed them
    return unicodedata.normalize("NFC", password).encode("utf-8")

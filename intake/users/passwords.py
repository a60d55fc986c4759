"""Passwords: their bounds, and their hashes."""

import unicodedata
from functools import cache
from importlib import resources

import bcrypt

from intake.errors import FieldError
from intake.settings.parsers import MAX_PASSWORD_BYTES as MAX_BYTES
from intake.settings.parsers import MIN_PASSWORD_CHARACTERS as MIN_CHARACTERS

COST = 12
_REMEDY = "take another, such as several words that have nothing to do with each other"

# What an unknown user's password is checked against, so that it takes as long as a known one's.
_NOBODYS_HASH = "$2b$12$yS.yrVdDXMhjSTBhwIV26.3hv7U4Q6wyLi1XqYy/C.LmcY1rsOM5m"


def password_fault(
    password: str, *, field: str, username: str, min_characters: int = MIN_CHARACTERS
) -> FieldError | None:
    """Return what keeps `password` from being set as that user's, or None; lengths and lists, no composition rules."""
    folded = unicodedata.normalize("NFC", password).casefold()
    if len(unicodedata.normalize("NFC", password)) < min_characters:
        return FieldError(field, f"must have at least {min_characters} characters")
    if len(_bytes(password)) > MAX_BYTES:
        return FieldError(field, f"must have at most {MAX_BYTES} bytes in UTF-8")
    if folded in _common_passwords():
        return FieldError(field, f"is one of the commonest passwords, which are guessed first; {_REMEDY}")
    if not folded.replace(username.casefold(), ""):
        return FieldError(field, f"must not be the user's own name; {_REMEDY}")
    return None


def hash_password(password: str) -> str:
    """Return the password's bcrypt hash; a quarter of a second of work."""
    return bcrypt.hashpw(_bytes(password), bcrypt.gensalt(COST)).decode("ascii")


def verify_password(password: str, password_hash: str | None) -> bool:
    """Return whether the password is the one that was hashed; None stands for nobody's, and takes as long."""
    given = _bytes(password)
    known = (password_hash or _NOBODYS_HASH).encode("ascii")
    found = bcrypt.checkpw(given[:MAX_BYTES], known)
    return found and password_hash is not None and len(given) <= MAX_BYTES


def _bytes(password: str) -> bytes:
    # the same characters, however a keyboard composed them
    return unicodedata.normalize("NFC", password).encode("utf-8")


@cache
def _common_passwords() -> frozenset[str]:
    text = resources.files("intake.users").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))

"""Password rules and hashes."""

import unicodedata
from functools import cache
from importlib import resources

import bcrypt

from intake.errors import FieldError
from intake.settings.parsers import MAX_PASSWORD_BYTES as MAX_BYTES
from intake.settings.parsers import MIN_PASSWORD_CHARACTERS as MIN_CHARACTERS

COST = 12
MAX_TYPED_CHARACTERS = 4 * MAX_BYTES  # normalizing may shorten it; of long combining sequences, it takes seconds
_REMEDY = "choose another, such as several unrelated words"

# The hash for unknown users, so that verifying takes as long as for known ones.
_DUMMY_HASH = "$2b$12$yS.yrVdDXMhjSTBhwIV26.3hv7U4Q6wyLi1XqYy/C.LmcY1rsOM5m"


def password_fault(
    password: str, *, field: str, username: str, min_characters: int = MIN_CHARACTERS
) -> FieldError | None:
    """Return the fault in a new password, or None; there are no composition rules (NIST SP 800-63B)."""
    normalized = _normalize(password)
    if len(normalized.encode()) > MAX_BYTES:
        limit = {"max": MAX_BYTES, "unit": "bytes"}
        return FieldError(field, f"must have at most {MAX_BYTES} bytes in UTF-8", "too_long", limit)
    if len(normalized) < min_characters:
        least = {"min": min_characters, "unit": "characters"}
        return FieldError(field, f"must have at least {min_characters} characters", "too_short", least)
    folded = normalized.casefold()
    if folded in _common_passwords():
        return FieldError(field, f"is one of the most common passwords; {_REMEDY}", "common_password")
    if not folded.replace(username.casefold(), ""):
        return FieldError(field, f"must not be the username; {_REMEDY}", "password_is_username")
    return None


def hash_password(password: str) -> str:
    """Return the bcrypt hash of a password; takes about 0.25 s of processor time."""
    return bcrypt.hashpw(_normalize(password).encode(), bcrypt.gensalt(COST)).decode("ascii")


def verify_password(password: str, password_hash: str | None) -> bool:
    """Return whether the password matches the hash; None never matches, and takes as long."""
    given = _normalize(password).encode()
    known = (password_hash or _DUMMY_HASH).encode("ascii")
    found = bcrypt.checkpw(given[:MAX_BYTES], known)
    return found and password_hash is not None and len(given) <= MAX_BYTES


def _normalize(password: str) -> str:
    """Return the password in NFC, since keyboards compose the same characters differently; unchanged if too long."""
    return unicodedata.normalize("NFC", password) if len(password) <= MAX_TYPED_CHARACTERS else password


@cache
def _common_passwords() -> frozenset[str]:
    text = resources.files("intake.users").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))

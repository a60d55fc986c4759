"""The signed timestamp of a form, and the name of its honeypot, both derived from a random key of the database."""

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode

from sqlalchemy import select

from intake.database import Database
from intake.database.schema import installation

TIME_BYTES, SIGNATURE_BYTES = 6, 15  # together a multiple of three, so that the text has no padding
HONEYPOT_CHARACTERS = 12
# consonants only: browsers and password managers fill in fields whose name contains a word that they know
_LETTERS = "bdfghjkmqrvz"


class FormKey:
    """The key of the forms of a database."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_database(cls, database: Database) -> "FormKey":
        """Return the database's key. Raises DatabaseUnavailable."""
        query = select(installation.c.form_key)
        return cls(bytes(database.read(lambda connection: connection.execute(query).scalar_one())))

    @property
    def honeypot(self) -> str:
        """The name of the field that only programs fill in; the same in every process on this database."""
        digest = hmac.digest(self._key, b"honeypot", "sha256")
        return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:HONEYPOT_CHARACTERS])

    def sign(self) -> str:
        """Return the current time, signed, as 28 characters of base64url."""
        stamp = int(time.time() * 1000).to_bytes(TIME_BYTES, "big")
        return urlsafe_b64encode(stamp + self._signature(stamp)).decode("ascii")

    def age_s(self, text: str) -> float | None:
        """Return the seconds since a text was signed, or None if it was not signed with this key."""
        try:
            signed = urlsafe_b64decode(text.encode("ascii"))
        except ValueError:
            return None
        stamp, signature = signed[:TIME_BYTES], signed[TIME_BYTES:]
        if not hmac.compare_digest(signature, self._signature(stamp)):
            return None
        return time.time() - int.from_bytes(stamp, "big") / 1000

    def _signature(self, stamp: bytes) -> bytes:
        return hmac.digest(self._key, b"timestamp" + stamp, "sha256")[:SIGNATURE_BYTES]

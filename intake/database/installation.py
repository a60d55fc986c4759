"""The installation's own secret, which never leaves the database."""

import hmac

from sqlalchemy import select

from intake.database.schema import installation
from intake.database.transactions import Database


class Fingerprints:
    """Keyed hashes of client addresses and user names, so that a shared store holds neither."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_database(cls, database: Database) -> "Fingerprints":
        """Return those made with the database's client key. Raises DatabaseUnavailable."""
        query = select(installation.c.client_key)
        return cls(bytes(database.read(lambda connection: connection.execute(query).scalar_one())))

    def fingerprint(self, text: str) -> str:
        """Return a text's hash, which is the same in every process on this database."""
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]

"""The identity of a database: its random id and key, and the highest lead id it ever allocated."""

import hmac
from dataclasses import dataclass

from sqlalchemy import Connection, select

from intake.database.schema import installation
from intake.database.transactions import Database

_HIGHEST_LEAD_ID = {
    "sqlite": "SELECT seq FROM sqlite_sequence WHERE name = 'lead'",
    "postgresql": "SELECT pg_sequence_last_value(pg_get_serial_sequence('lead', 'id')::regclass)",
}


@dataclass(frozen=True)
class Identity:
    """A database's id in hexadecimal, and the highest lead id it ever allocated (0: none)."""

    database_id: str
    highest_lead_id: int


def identity(database: Database) -> Identity:
    """Return the database's identity, with the lead id from its sequence. Raises DatabaseUnavailable."""

    def read(connection: Connection) -> Identity:
        database_id = connection.execute(select(installation.c.database_id)).scalar_one()
        highest = connection.exec_driver_sql(_HIGHEST_LEAD_ID[connection.dialect.name]).scalar()
        return Identity(bytes(database_id).hex(), highest or 0)

    return database.read(read)


class Fingerprints:
    """Keyed hashes of client addresses and user names, so that a shared store contains neither."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_database(cls, database: Database) -> "Fingerprints":
        """Return fingerprints with the database's client key. Raises DatabaseUnavailable."""
        query = select(installation.c.client_key)
        return cls(bytes(database.read(lambda connection: connection.execute(query).scalar_one())))

    def fingerprint(self, text: str) -> str:
        """Return the hash of a text, the same in every process on this database."""
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]

"""A database's identity: id, key, highest lead id, and the nonces of its CV store's markers."""

import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from intake.database.clock import Now
from intake.database.schema import installation
from intake.database.transactions import Database

_HIGHEST_LEAD_ID = {
    "sqlite": "SELECT seq FROM sqlite_sequence WHERE name = 'lead'",
    "postgresql": "SELECT pg_sequence_last_value(pg_get_serial_sequence('lead', 'id')::regclass)",
}


@dataclass(frozen=True)
class Identity:
    """A database's id, the highest lead id it ever allocated (0: none), and the nonces of its CV store's markers.

    The id and the nonces are in hexadecimal. Workers replace the nonces while they run, so a copy of the database has
    other ones a few minutes later.
    """

    database_id: str
    highest_lead_id: int
    nonces: tuple[str, str]  # the last one first

    @property
    def nonce(self) -> str:
        """The last marker's nonce."""
        return self.nonces[0]


def identity(database: Database) -> Identity:
    """Return the database's identity, with the lead id from its sequence. Raises DatabaseUnavailable."""
    return database.write(_identity)  # the first write after a promotion raises the sequence


def renew_nonce(database: Database, seen: str, *, min_age_s: float) -> Identity:
    """Replace the nonce if it is still `seen` and at least that old, and return the identity.

    Raises DatabaseUnavailable.
    """
    nonce, at = installation.c.marker_nonce, installation.c.marker_nonce_at
    is_due = nonce == bytes.fromhex(seen), at <= Now(plus_s=-min_age_s)
    values = {nonce: secrets.token_bytes(16), installation.c.previous_marker_nonce: nonce, at: Now()}

    def renew(connection: Connection) -> Identity:
        connection.execute(update(installation).where(*is_due).values(values))
        return _identity(connection)

    return database.write(renew)


def _identity(connection: Connection) -> Identity:
    row = connection.execute(select(installation)).one()
    highest = connection.exec_driver_sql(_HIGHEST_LEAD_ID[connection.dialect.name]).scalar()
    nonces = bytes(row.marker_nonce).hex(), bytes(row.previous_marker_nonce).hex()
    return Identity(bytes(row.database_id).hex(), highest or 0, nonces)


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

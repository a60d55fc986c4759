"""Real relays for real services."""

from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer
from tests.system.relay import Relay


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    made.open()
    yield made
    made.close()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may kill."""
    server = PostgresServer()
    server.start()
    yield server
    server.close()

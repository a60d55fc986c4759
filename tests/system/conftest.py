"""Fixtures: a mail relay, and a PostgreSQL server that a test may kill."""

from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer
from tests.system.relay import Relay


@pytest.fixture
def relay() -> Iterator[Relay]:
    opened = Relay()
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may kill."""
    server = PostgresServer()
    server.start()
    yield server
    server.close()

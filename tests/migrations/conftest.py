"""Fixtures: an empty database, and further steps."""

import pytest

from intake.settings import Settings
from tests.conftest import Databases
from tests.migrations.made import add_steps

__all__ = ["add_steps"]


@pytest.fixture
def settings(databases: Databases) -> Settings:
    """Settings on an empty database."""
    return Settings(database_url=databases.empty_url())


@pytest.fixture
def migrated(databases: Databases) -> Settings:
    """Settings on a database that this version has migrated."""
    return Settings(database_url=databases.migrated_url())

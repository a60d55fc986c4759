"""Small runs of the attacks that no other test covers; too short to measure latency."""

from collections.abc import Iterator

import pytest

from stress.durability import tally
from stress.durability.deployment import POSTGRESQL, SQLITE, Site
from stress.load.attacks import AttackProcesses, run
from stress.load.sizes import ONE, SMALL, TWO

CASES = (("one-address", SQLITE, ONE), ("hostile-forms", POSTGRESQL, TWO), ("owner-logins", SQLITE, ONE))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(tally.SMALL) as site:
        yield site


@pytest.fixture(scope="module")
def processes() -> Iterator[AttackProcesses]:
    with AttackProcesses() as processes:
        yield processes


@pytest.mark.parametrize(("name", "kind", "surfaces"), CASES)
def test_claims_hold_under_attack(site: Site, processes: AttackProcesses, name: str, kind: str, surfaces: str) -> None:
    line = run(site, processes, name, kind, surfaces, SMALL)
    assert not line.broken, str(line)

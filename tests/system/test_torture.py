"""Small runs of the durability proofs, except those that require root or take minutes."""

from collections.abc import Iterator

import pytest

from stress.durability.deployment import Site
from stress.durability.proofs import PROOFS
from stress.durability.tally import SMALL

RUN = [(name, proof) for name, proof in PROOFS.items() if not (proof.needs_root or proof.takes_minutes)]
CASES = [(name, kind) for name, proof in RUN for kind in proof.kinds]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(SMALL) as site:
        yield site


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_claims_hold_after_faults(site: Site, name: str, kind: str) -> None:
    for tally in PROOFS[name].run(site, kind):
        assert not tally.broken, str(tally)

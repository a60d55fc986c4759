"""The table of proofs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.system.torture.firm import POSTGRESQL, SQLITE, Site
from tests.system.torture.full_disk import full_disk
from tests.system.torture.kills import kill_postgresql, kill_service
from tests.system.torture.tally import Tally
from tests.system.torture.trouble import relay
from tests.system.torture.workers import many_workers


@dataclass(frozen=True)
class Proof:
    """What runs a proof on one kind of database, and the kinds that it is for."""

    run: Callable[[Site, str], Iterator[Tally]]
    kinds: Sequence[str] = (SQLITE, POSTGRESQL)
    needs_root: bool = False


PROOFS: Mapping[str, Proof] = {
    "kill-service": Proof(kill_service),
    "kill-postgresql": Proof(kill_postgresql, kinds=[POSTGRESQL]),
    "relay": Proof(relay),
    "many-workers": Proof(many_workers, kinds=[POSTGRESQL]),
    "full-disk": Proof(full_disk, needs_root=True),
}

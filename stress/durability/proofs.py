"""Registry of the durability proofs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stress.durability.deployment import POSTGRESQL, SQLITE, Site
from stress.durability.full_disk import full_disk
from stress.durability.kills import kill_postgresql, kill_service
from stress.durability.relay_failures import relay
from stress.durability.tally import Tally
from stress.durability.texts import kill_text_workers
from stress.durability.workers import many_workers, suspend_worker


@dataclass(frozen=True)
class Proof:
    """A proof: the function that runs it, and the kinds of database it applies to."""

    run: Callable[[Site, str], Iterator[Tally]]
    kinds: Sequence[str] = (SQLITE, POSTGRESQL)
    needs_root: bool = False
    takes_minutes: bool = False  # also at the small size


PROOFS: Mapping[str, Proof] = {
    "kill-service": Proof(kill_service),
    "kill-postgresql": Proof(kill_postgresql, kinds=[POSTGRESQL]),
    "relay": Proof(relay),
    "many-workers": Proof(many_workers, kinds=[POSTGRESQL]),
    "suspend-worker": Proof(suspend_worker, takes_minutes=True),
    "kill-texts": Proof(kill_text_workers),
    "full-disk": Proof(full_disk, needs_root=True),
}

"""Report lines: an attack's figures beside the idle ones, and the broken claims."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from stress.load.probe import Latencies
from stress.load.sizes import NO_GOAL

MIB = 2**20
WIDTHS: Mapping[str, int] = {
    "attack": 14,
    "surfaces": 13,
    "database": 10,
    "tries/s": 7,
    "idle p50/p99 ms": 15,
    "attacked p50/p99 ms": 19,
    "ratio": 5,
    "goal": 4,
    "MiB idle/peak/bound": 19,
    "saved/acknowledged": 18,
    "verdict": 7,
    "answers": 0,
}


@dataclass
class Line:
    """The measurements of one attack on one target."""

    attack: str
    surfaces: str
    database: str
    rate: float
    answers: Counter[str]
    idle: Latencies
    attacked: Latencies
    goal: float
    memory: tuple[int, int, int]  # bytes: idle, peak and bound
    saved: int
    acknowledged: int
    broken: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The 99th percentile under attack divided by the idle one."""
        return self.attacked.percentile_ms(99) / self.idle.percentile_ms(99)

    def claim(self, claim: str, holds: bool) -> None:
        """Record the claim if it does not hold."""
        if not holds:
            self.broken.append(claim)

    def __str__(self) -> str:
        cells = [
            self.attack,
            self.surfaces,
            self.database,
            f"{self.rate:.0f}",
            _latency(self.idle),
            _latency(self.attacked),
            f"{self.ratio:.1f}",
            "none" if self.goal == NO_GOAL else f"{self.goal:.0f}",
            "/".join(f"{size / MIB:.0f}" for size in self.memory),
            f"{self.saved}/{self.acknowledged}",
            "BROKEN" if self.broken else "holds",
            ", ".join(f"{kind} {n}" for kind, n in sorted(self.answers.items())),
        ]
        return "\n".join([_row(cells), *(f"    broken: {claim}" for claim in self.broken)])


def heading() -> str:
    """Return the heading."""
    return _row(list(WIDTHS))


def _row(cells: list[str]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS.values(), strict=True)).rstrip()


def _latency(found: Latencies) -> str:
    return f"{found.percentile_ms(50):.1f}/{found.percentile_ms(99):.1f}"

"""Sizes of the proofs, and the tally of their counts and broken claims."""

from dataclasses import dataclass, field

ALERTS = ("attorney@firm.example",)
MAILS_FOR_EACH_LEAD = 1 + len(ALERTS)


@dataclass(frozen=True, kw_only=True)
class Size:
    """Size of the proofs; the claims are the same at every size."""

    submissions: int
    submitters: int
    kills: int
    postgres_submissions: int
    postgres_kills: int
    fault_leads: int
    down_s: float
    later_s: float
    shows_slow_relays: bool  # they take more than a minute each
    shared_leads: int
    services: int
    workers: int
    texts: int
    text_kills: int
    waits_for_leases: bool  # else the leases of killed workers are ended in the database
    settles_within_s: float


FULL = Size(
    submissions=1000,
    submitters=32,
    kills=10,
    postgres_submissions=1000,
    postgres_kills=5,
    fault_leads=50,
    down_s=60,
    later_s=20,
    shows_slow_relays=True,
    shared_leads=1000,
    services=2,
    workers=3,
    texts=200,
    text_kills=30,
    waits_for_leases=True,
    settles_within_s=240,
)
SMALL = Size(
    submissions=120,
    submitters=32,
    kills=2,
    postgres_submissions=100,
    postgres_kills=1,
    fault_leads=6,
    down_s=3,
    later_s=1,
    shows_slow_relays=False,
    shared_leads=30,
    services=1,
    workers=2,
    texts=12,
    text_kills=3,
    waits_for_leases=False,
    settles_within_s=60,
)


@dataclass
class Tally:
    """The counts of one proof on one database, and the claims that do not hold."""

    proof: str
    database: str
    counts: dict[str, int | float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def count(self, **counts: int | float) -> None:
        """Record counts; the output shows underscores in their names as spaces."""
        self.counts |= {name.replace("_", " "): value for name, value in counts.items()}

    def claim(self, claim: str, holds: bool) -> None:
        """Record the claim if it does not hold."""
        if not holds:
            self.broken.append(claim)

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in self.counts.items())
        verdict = "BROKEN" if self.broken else "holds"
        lines = [f"{self.proof:<16} {self.database:<10} {verdict:<6}  {shown}"]
        return "\n".join([*lines, *(f"    broken: {claim}" for claim in self.broken)])


def _shown(value: int | float) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)

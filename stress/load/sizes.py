"""Sizes of the attacks, and the latency goals under attack."""

from dataclasses import dataclass

ONE, TWO = "one process", "two processes"
GOALS = {ONE: 5.0, TWO: 3.0}  # the internal list's 99th percentile under attack, as a multiple of the idle one
LOWEST_PRIORITY = 19  # of the attacker and the relay, which usually run on other machines
LOGINS_GOAL = 3.0  # the same for the owner's logins
NO_GOAL = float("inf")  # floods from many addresses in one process: use two where they are expected (decision 3)


@dataclass(frozen=True, kw_only=True)
class Size:
    """Size of the attacks; the claims are the same at every size, except latency, which needs a long run."""

    seconds: float
    idle_s: float
    judges_latency: bool
    seeded_leads: int = 5_000
    seeded_cv_bytes: int = 8 * 2**20
    probes_per_s: float = 20.0
    submissions_per_s: float = 300.0
    slow_clients: int = 500
    half_uploads: int = 50
    large_body_bytes: int = 200 * 10**6
    parts: int = 100_000
    guesses: int = 10_000
    anonymous_logins_per_s: float = 30.0


FULL = Size(seconds=60, idle_s=20, judges_latency=True)
SMALL = Size(
    seconds=3,
    idle_s=1,
    judges_latency=False,
    seeded_leads=500,
    submissions_per_s=100,
    slow_clients=60,
    guesses=200,
)

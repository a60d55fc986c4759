"""Ratios of two sides that are measured in turn, so that whatever else the machine does falls on both."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MB = 10**6


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured: rounds of so many seconds for each side, and how many leads are stored beforehand."""

    rounds: int
    seconds: float
    leads: int


FULL = Size(rounds=5, seconds=2.5, leads=1_000_000)
QUICK = Size(rounds=2, seconds=0.4, leads=10_000)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One work of ours beside another's, a figure of each for every round; without `theirs` ours stands for itself.

    `goal` is what the median of the rounds' ratios is to reach, or with `at_most` not to exceed.
    """

    work: str
    beside: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]
    goal: float
    at_most: bool = False

    @property
    def ratios(self) -> list[float]:
        """Ours divided by theirs, round by round."""
        return [one / other for one, other in zip(self.ours, self.theirs, strict=True)] if self.theirs else [*self.ours]

    @property
    def ratio(self) -> float:
        """The rounds' median."""
        return statistics.median(self.ratios)

    @property
    def holds(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal


def in_turn(size: Size, sides: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure each side once a round, in an order that turns around each time; return each side's figures."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(size.rounds):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            figures[name].append(sides[name]())
    return figures

"""Ratios of measurements that alternate, so that other load on the machine affects all of them."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MB = 10**6


@dataclass(frozen=True, kw_only=True)
class Size:
    """Number of rounds, seconds per measurement, and number of stored leads."""

    rounds: int
    seconds: float
    leads: int


FULL = Size(rounds=5, seconds=2.5, leads=1_000_000)
QUICK = Size(rounds=2, seconds=0.4, leads=10_000)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Figures of one kind of work per round, ours and those of a baseline; without `theirs`, absolute figures.

    `goal` is the minimum for the median ratio, or its maximum with `at_most`. A detail is not in the document's table.
    """

    work: str
    beside: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]
    goal: float
    at_most: bool = False
    is_detail: bool = False

    @property
    def ratios(self) -> list[float]:
        """Ours divided by theirs, per round."""
        return [one / other for one, other in zip(self.ours, self.theirs, strict=True)] if self.theirs else [*self.ours]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def holds(self) -> bool:
        """Whether the goal is met."""
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal


def in_turn(size: Size, sides: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure each side once per round, reversing the order each time; return the figures of each side."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(size.rounds):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            figures[name].append(sides[name]())
    return figures

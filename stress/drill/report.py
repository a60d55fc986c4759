"""Figures of the drill, each beside its bound."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from stress.drill.traffic import Sent


@dataclass(frozen=True)
class Figure:
    """A measured number and the most that it may be; without a bound it is only shown."""

    step: str
    what: str
    value: float
    bound: float | None = None
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the number is within its bound."""
        return self.bound is None or self.value <= self.bound

    def __str__(self) -> str:
        shown = (
            f"{self.value:g} {self.unit}".rstrip() if self.value == int(self.value) else f"{self.value:.1f} {self.unit}"
        )
        bound = (
            ""
            if self.bound is None
            else f"{f'≤ {self.bound:g} {self.unit}'.rstrip():<12} {'holds' if self.holds else 'BROKEN'}"
        )
        return f"{self.step:<22} {self.what:<58} {shown:>12}  {bound}".rstrip()


def failures(step: str, what: str, failed: Collection[Sent]) -> Figure:
    """Return the number of failed submissions, of which none is allowed, with their outcomes."""
    outcomes = Counter(one.outcome for one in failed)
    shown = f" ({', '.join(f'{name}: {number}' for name, number in outcomes.items())})" if failed else ""
    return Figure(step, f"{what}{shown}", len(failed), 0)

"""Figures of the drill, each beside its bound."""

from dataclasses import dataclass


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

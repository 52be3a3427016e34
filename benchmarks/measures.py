"""Measured values: medians, spreads, and the budgets that they are held against."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


class RecordsDiffer(Exception):
    """Two contenders did not leave the same records: the run is void."""


@dataclass(frozen=True)
class Series:
    """The same thing measured several times."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest."""
        return min(self.values), max(self.values)

    def over(self, other: "Series") -> "Series":
        """Give the ratio in each round; only what was measured side by side is compared."""
        return Series([mine / others for mine, others in zip(self.values, other.values, strict=True)])


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the value below which so many percent lie: the nearest one that was measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-len(ordered) * percent // 100) - 1))]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A figure and what it may be."""

    name: str
    value: float
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether it is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a scenario found.

    Attributes:
        columns: of its table.
        rows: as words, in the order of the columns.
        figures: the numbers behind it, by name.

    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: dict[str, object] = field(default_factory=dict)
    budgets: Sequence[Budget] = ()

"""What a section of the suite is: it measures on an arena, so long as it may, and yields what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from infra.bench.engine_suite.arena import Arena
from infra.bench.report import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure."""

    rounds: int
    events: int
    soak_events: int

    def medians(self, one_round: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The median of each figure over the rounds."""
        found: dict[str, list[float]] = {}
        for _ in range(self.rounds):
            for name, figure in one_round().items():
                found.setdefault(name, []).append(figure)
        return {name: median(figures) for name, figures in found.items()}


Section = Callable[[Arena, Effort], Iterable[Finding]]


def percentile(figures: Iterable[float], share: float) -> float:
    """The figure below which this share lies."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

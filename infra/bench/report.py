"""What a bench found, how it is told, and whether it is good enough. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One figure: ours, a peer's where there is one, and the target where there is one."""

    what: str
    ours: float
    unit: str
    peer: float | None = None
    target: float | None = None
    """For the ratio to the peer; without a peer, for the figure itself."""
    bound: Literal["at most", "at least"] = "at most"

    @property
    def judged(self) -> float:
        """What the target is for."""
        return self.ours if self.peer is None else self.ours / self.peer

    @property
    def is_met(self) -> bool:
        """Whether the target is met; a figure without one is only told."""
        if self.target is None:
            return True
        return self.judged <= self.target if self.bound == "at most" else self.judged >= self.target

    def __str__(self) -> str:
        peer = "" if self.peer is None else f"peer {_shown(self.peer)} {self.unit}, ratio {self.judged:.2f}"
        target = "" if self.target is None else f"{self.bound} {self.target:g}"
        verdict = "" if self.target is None else "ok" if self.is_met else "MISSED"
        figure = f"{_shown(self.ours)} {self.unit}"
        return f"  {self.what:<34} {figure:>16}   {peer:<34} {target:<13} {verdict}".rstrip()


def _shown(figure: float) -> str:
    """Three digits that say something."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def summary(findings: Sequence[Finding]) -> str:
    """The last line of a report."""
    judged = [finding for finding in findings if finding.target is not None]
    missed = [finding.what for finding in judged if not finding.is_met]
    if missed:
        return f"{len(missed)} of {len(judged)} targets missed: {', '.join(missed)}"
    return f"{len(judged)} targets, all met"

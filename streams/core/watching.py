"""What is wrong with a partition that stands still: nothing yet, held, stuck, or about to be lost.

Held means that no node would take anything: the records wait where they are, and go on by themselves. Stuck
means that something should have moved and has not: somebody must look.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Finding = Literal["held", "stuck", "expiring"]


class Standing(NamedTuple):
    """How long a partition has not moved, and how old the record is that holds it."""

    unsettled: int
    still_ms: float
    """Since the watermark last moved, or since the record that holds it was fetched if that is later."""
    age_ms: float
    """Since the record that holds the watermark was written."""


class Patience(NamedTuple):
    """What is too long."""

    stuck_after_ms: float
    retention_ms: float


def examine(standing: Standing, patience: Patience, *, is_held: bool) -> Finding | None:
    """What to tell of a partition, the gravest first; None where all is well."""
    if not standing.unsettled:
        return None
    # From half the retention on there may be too little time left to mend what is wrong.
    if standing.age_ms > patience.retention_ms / 2:
        return "expiring"
    if standing.still_ms > patience.stuck_after_ms:
        return "held" if is_held else "stuck"
    return None

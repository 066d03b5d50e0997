"""What is wrong with a partition that stands still: nothing yet, held, stuck, or about to be lost.

Held means that records wait where they are, for a cause that the engine knows, and go on by themselves.
Stuck means that something should have moved and has not: somebody must look.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Finding = Literal["held", "stuck", "expiring"]
Cause = Literal["paused", "bounds", "memory", "nodes"]
"""Why nothing moves, where it is known: an order, what others have unsettled, what is not remembered yet or
has too many copies waiting, no node that takes anything.
"""


class Standing(NamedTuple):
    """How long a partition has not moved, and how old the record is that it waits for."""

    unsettled: int
    still_ms: float
    """Since the watermark last moved, or since the record that holds it was fetched if that is later.

    Where nothing is unsettled: since it was seen that records wait here, or since the watermark moved if that
    is later. An order to pause, and a cause that is gone, begin it anew: what was held is given time to move.
    """
    age_ms: float
    """Since the record that holds the watermark was written.

    Where nothing is unsettled nobody has read that record: since it was first seen to wait, until somebody
    has looked when it was written.
    """
    behind: int = 0
    """Offsets that were written and not read; counted only where nothing is unsettled."""
    cause: Cause | None = None


class Patience(NamedTuple):
    """What is too long."""

    stuck_after_ms: float
    retention_ms: float


def examine(standing: Standing, patience: Patience) -> Finding | None:
    """What to tell of a partition, the gravest first; None where all is well."""
    if not (standing.unsettled or standing.behind):
        return None
    # From half the retention on there may be too little time left to mend what is wrong.
    if standing.age_ms > patience.retention_ms / 2:
        return "expiring"
    if standing.still_ms <= patience.stuck_after_ms:
        return None
    if standing.cause == "paused":
        # An order is no news, until it costs records.
        return None
    return "stuck" if standing.cause is None else "held"


def sentence_of(finding: Finding, standing: Standing) -> str:
    """What is told of it; the same words as long as the finding and its cause are the same."""
    match finding, standing.cause:
        case "held", "nodes":
            return "held, because no node would take a question"
        case "held", "memory":
            return "held, until what was remembered of it is here, or fewer copies of one text wait"
        case "held", _:
            return "held, because other partitions have as much unsettled as the engine's bounds allow"
        case "stuck", _ if standing.unsettled:
            return "stuck"
        case "stuck", _:
            return "stuck, because no fetch brings what is there"
        case _, "paused":
            return "half of the retention is over for what waits because its topic is paused"
        case _ if standing.unsettled:
            return "half of the retention is over for what is unsettled"
        case _:
            return "half of the retention is over for what was not read yet"

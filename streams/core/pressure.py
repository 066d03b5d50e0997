"""Which partitions may be asked for more: the bounds on what is unsettled, and who gives way first.

The most urgent partitions are held by their own bounds only, never because of the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be unsettled."""

    partition_records_max: int
    partition_bytes_max: int
    total_records_max: int
    total_bytes_max: int


@dataclass(frozen=True, slots=True)
class Load(Generic[P]):
    """What one partition has unsettled, and how urgent it is (0 is the most urgent)."""

    partition: P
    urgency: int
    records: int
    size_bytes: int


def held(loads: Iterable[Load[P]], bounds: Bounds) -> set[P]:
    """The partitions to leave out of the next fetch.

    1. A partition at one of its own bounds is held, however urgent it is.
    2. Where all together are over a total, the less urgent are held: everything but urgency 0.
    3. Between half of a total and the whole, only the two least urgent levels are.
    4. The most urgent are held when their own bytes are over the total: memory is bounded for everybody.
    5. Below half of the totals nobody gives way, whatever its urgency.
    """
    known = list(loads)
    urgent = [load for load in known if not load.urgency]
    others = [load for load in known if load.urgency]
    share = max(
        sum(load.records for load in others) / bounds.total_records_max,
        sum(load.size_bytes for load in others) / bounds.total_bytes_max,
    )
    spared = 0 if share >= 1.0 else 1 if share >= 0.5 else math.inf
    too_many_bytes = sum(load.size_bytes for load in urgent) >= bounds.total_bytes_max
    return {
        load.partition
        for load in known
        if load.records >= bounds.partition_records_max
        or load.size_bytes >= bounds.partition_bytes_max
        or load.urgency > spared
        or (too_many_bytes and not load.urgency)
    }

"""The figures of several memories as one: of a worker's partitions, and of those that it had before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from streams.ports import MemoryStats


def summed(stats: Sequence[MemoryStats]) -> MemoryStats:
    """The figures of several memories as one."""
    return reduce(_added, stats, MemoryStats())


def _added(one: MemoryStats, other: MemoryStats) -> MemoryStats:
    return MemoryStats(
        entries=one.entries + other.entries,
        bytes=one.bytes + other.bytes,
        hits_memory=one.hits_memory + other.hits_memory,
        hits_disk=one.hits_disk + other.hits_disk,
        misses=one.misses + other.misses,
        expired=one.expired + other.expired,
        evicted=one.evicted + other.evicted,
        read_only=one.read_only or other.read_only,
    )


def without_stock(stats: MemoryStats) -> MemoryStats:
    """What a memory did, once what it held is gone."""
    return MemoryStats(
        hits_memory=stats.hits_memory,
        hits_disk=stats.hits_disk,
        misses=stats.misses,
        expired=stats.expired,
        evicted=stats.evicted,
    )

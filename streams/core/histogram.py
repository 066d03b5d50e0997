"""How long things took, counted in a few fixed buckets: cheap to fill, summed over workers, never growing.

A quantile read from it is an estimate: right bucket, linear within it. Buckets follow 1, 2.5, 5 from a
millisecond to ten seconds, where a rule or a model decides, and are coarse from there to hours, where only a
backlog reaches.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate, chain

import msgspec

BOUNDS_MS: tuple[float, ...] = (
    *(1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000),
    *(30_000, 60_000, 300_000, 1_800_000, 7_200_000, 43_200_000),
)
"""Upper bounds, inclusive; what is longer is counted behind the last."""


class HistogramSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A histogram at one moment."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_MS) + 1)
    """In each bucket by itself; the last one is what lies beyond the bounds."""
    sum_ms: float = 0.0

    @property
    def count(self) -> int:
        """How many were observed."""
        return sum(self.counts)

    def cumulative(self) -> tuple[int, ...]:
        """How many took at most as long as each bound; the last is all of them."""
        return tuple(accumulate(self.counts))

    def plus(self, other: HistogramSnapshot) -> HistogramSnapshot:
        """Both together, as of two workers."""
        # Of two releases one may have more buckets; its missing ones are empty.
        length = max(len(self.counts), len(other.counts))
        mine, theirs = _padded(self.counts, length), _padded(other.counts, length)
        return HistogramSnapshot(
            counts=tuple(a + b for a, b in zip(mine, theirs, strict=True)), sum_ms=self.sum_ms + other.sum_ms
        )

    def quantile(self, q: float) -> float:
        """The estimated time within which the share `q` was done; 0 where nothing was observed.

        What lies beyond the last bound is taken to be at it: an estimate that is known to be too low.
        """
        rank = min(max(q, 0.0), 1.0) * self.count
        below, lower_ms = 0, 0.0
        for count, upper_ms in zip(self.counts, BOUNDS_MS, strict=False):
            if count and below + count >= rank:
                return lower_ms + (upper_ms - lower_ms) * (rank - below) / count
            below, lower_ms = below + count, upper_ms
        return BOUNDS_MS[-1] if self.count else 0.0


class Histogram:
    """Counts durations."""

    __slots__ = ("_counts", "_sum_ms")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_MS) + 1)
        self._sum_ms = 0.0

    def __repr__(self) -> str:
        seen = self.snapshot()
        p50_ms, p95_ms = seen.quantile(0.5), seen.quantile(0.95)
        return f"<Histogram {seen.count} seen, p50 {p50_ms:.0f} ms, p95 {p95_ms:.0f} ms>"

    def observe(self, ms: float) -> None:
        """Count one. Less than nothing (clocks of two machines) is nothing."""
        if ms > 0.0:
            self._counts[bisect_left(BOUNDS_MS, ms)] += 1
            self._sum_ms += ms
        else:
            self._counts[0] += 1

    def snapshot(self) -> HistogramSnapshot:
        """What was counted so far."""
        return HistogramSnapshot(counts=tuple(self._counts), sum_ms=self._sum_ms)


def total(snapshots: Iterable[HistogramSnapshot]) -> HistogramSnapshot:
    """All of them together."""
    result = HistogramSnapshot()
    for snapshot in snapshots:
        result = result.plus(snapshot)
    return result


def _padded(counts: tuple[int, ...], length: int) -> Iterable[int]:
    return chain(counts, (0,) * (length - len(counts)))

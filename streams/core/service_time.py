"""How long a node takes for one post and for a pack of them, learned from what it took: for one node.

A pack takes a fixed part and a part for each post, so its time is a line over their number; the two sentinels
are in the fixed part. The line is fitted by least squares in which an observation counts half after 20 more.
"""

from __future__ import annotations

from streams.core.packing import POSTS_MIN

_KEPT = 0.5 ** (1 / 20)
_SPREAD_MIN = 0.25
"""The variance of the packs' sizes below which they are all of one size, and tell nothing of a slope."""


class ServiceTime:
    """What one node has taken lately."""

    def __init__(self) -> None:
        self._single_ms: float | None = None
        self.packs = 0
        """How many were answered so far."""
        # Sums over the packs: of 1, n, n n, ms, n ms.
        self._weight = self._n = self._nn = self._ms = self._n_ms = 0.0

    def __repr__(self) -> str:
        single = "?" if self._single_ms is None else f"{self._single_ms:.0f}"
        pack = self.pack_ms(4)
        return f"<ServiceTime one {single} ms, four {'?' if pack is None else f'{pack:.0f}'} ms>"

    def took(self, posts: int, ms: float) -> None:
        """Learn from a request that was answered."""
        if posts < POSTS_MIN:
            known = ms if self._single_ms is None else self._single_ms
            self._single_ms = _KEPT * known + (1 - _KEPT) * ms
            return
        self.packs += 1
        for name, more in (
            ("_weight", 1),
            ("_n", posts),
            ("_nn", posts**2),
            ("_ms", ms),
            ("_n_ms", posts * ms),
        ):
            setattr(self, name, _KEPT * getattr(self, name) + more)

    @property
    def single_ms(self) -> float | None:
        """One post alone; None before any was asked about."""
        return self._single_ms

    def pack_ms(self, posts: int) -> float | None:
        """A pack of so many posts; None before any pack."""
        if not self._weight:
            return None
        mean_n, mean_ms = self._n / self._weight, self._ms / self._weight
        spread = self._nn / self._weight - mean_n**2
        if spread < _SPREAD_MIN:
            # All of one size: as if each slot, a sentinel's too, took as long as the others.
            slope = mean_ms / (mean_n + 2)
        else:
            slope = max(0.0, (self._n_ms / self._weight - mean_n * mean_ms) / spread)
        return max(0.0, mean_ms + slope * (posts - mean_n))

    def saved_ms(self, posts: int) -> float | None:
        """The node's time that a pack saves against one request for each; None where that is not known."""
        pack_ms = self.pack_ms(posts)
        if self._single_ms is None or pack_ms is None:
            return None
        return posts * self._single_ms - pack_ms

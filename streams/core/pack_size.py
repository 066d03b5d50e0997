"""How many posts go in a pack on one node: more while packs come back clean, fewer at once when not.

Two things make it smaller. A pack that was discarded halves it, as a model that loses track of many posts may
do with half of them. And of the posts that were judged a second time, alone, so many may have got another
action; when it is more, the limit itself is halved, down to no packs at all, and after a while it is tried
again with small ones.
"""

from __future__ import annotations

from streams.core.packing import POSTS_MIN

START = 4
CLEAN_PACKS_TO_GROW = 20
COMPARED_MIN = 50
"""Of 50 posts with 2 % to be expected, 3 disagree by chance in one window of thirteen; four in 56."""
IN_VAIN_MAX = 8
"""So many packs in a row that were not believed, whatever their size: this model answers about no pack."""
OFF_MS = 600_000.0
"""Ten minutes without packs; then a pack of two, so that a model that was replaced gets its chance."""


class PackSize:
    """The size now."""

    def __init__(self, size_max: int, *, disagreement_max: float) -> None:
        self._size_max = size_max
        self._disagreement_max = disagreement_max
        self._limit = size_max
        self._size = min(START, size_max)
        self._clean = 0
        self._in_vain = 0
        self._compared = 0
        self._disagreed = 0
        self._off_until_ms = 0.0

    def __repr__(self) -> str:
        return (
            f"<PackSize {self._size} of at most {self._limit} | {self._clean} clean, "
            f"{self._disagreed} of {self._compared} disagree>"
        )

    def now(self, now_ms: float) -> int:
        """Most posts of a pack; 1: none are packed."""
        if self._limit < POSTS_MIN and now_ms >= self._off_until_ms:
            self._limit = self._size = min(POSTS_MIN, self._size_max)
        return self._size

    def clean(self) -> None:
        """A pack came back, and was believed."""
        self._clean += 1
        self._in_vain = 0
        if self._clean >= CLEAN_PACKS_TO_GROW:
            self._clean = 0
            self._size = min(self._limit, self._size + 1)

    def discarded(self, now_ms: float) -> None:
        """A pack came to nothing. At least two go on together, for the next one shows more; not for ever."""
        self._clean = 0
        self._in_vain += 1
        self._size = min(self._size, max(POSTS_MIN, self._size // 2))
        if self._in_vain >= IN_VAIN_MAX:
            self._in_vain = 0
            self._set_limit(1, now_ms)

    def compared(self, now_ms: float, *, agrees: bool) -> None:
        """A packed post was judged again, alone."""
        self._compared += 1
        self._disagreed += not agrees
        # Not before three, as one in fifty is no proof of anything; and at once with three.
        too_many = self._disagreed >= max(3.0, self._disagreement_max * COMPARED_MIN + 1)
        if too_many:
            self._lower(now_ms)
        elif self._compared >= COMPARED_MIN:
            self._limit = min(self._size_max, self._limit + 1)
        else:
            return
        self._compared = self._disagreed = 0

    def _lower(self, now_ms: float) -> None:
        self._set_limit(self._limit // 2, now_ms)

    def _set_limit(self, limit: int, now_ms: float) -> None:
        self._limit = limit
        self._size = max(1, min(self._size, self._limit))
        if self._limit < POSTS_MIN:
            self._off_until_ms = now_ms + OFF_MS

"""Whether packing pays on a node, and waiting for one more post: reckoned from what requests took.

With two sentinels in it, a pack of two holds four posts, and takes a sequential node longer than two requests
do wherever the fixed part of a request is small. So small packs may cost more than they save, and what they
cost is known only from trying: as long as nothing is known, whatever may be packed is.
"""

from __future__ import annotations

from typing import NamedTuple

from streams.core.packing import POSTS_MIN
from streams.core.service_time import ServiceTime

_GAP_MS_MIN = 0.01
TRIED_MIN = 4
"""So many packs are tried before any is refused: the first one finds no prompt cached, and takes too long."""
TRY_EVERY = 64
"""Where packing does not pay, so many refusals later one pack is tried all the same: nodes change."""


class Patience(NamedTuple):
    """How long a pack may wait for more posts."""

    share: float
    """Of the time that the pack itself will take."""
    ms_max: float


class Pays:
    """The account of one node."""

    def __init__(self, *, is_per_request: bool) -> None:
        self.service = ServiceTime()
        self._is_per_request = is_per_request
        self._refused = 0

    def __repr__(self) -> str:
        return f"<Pays {'per request' if self._is_per_request else 'by time'} {self.service!r}>"

    def together(self, posts: int) -> bool:
        """Whether so many posts go in one request rather than each in its own."""
        if posts < POSTS_MIN:
            return False
        if self._is_per_request or self.service.packs < TRIED_MIN:
            return True
        saved_ms = self.service.saved_ms(posts)
        if saved_ms is None or saved_ms > 0:
            return True
        self._refused += 1
        return self._refused % TRY_EVERY == 0

    def wait_ms(self, posts: int, size: int, gap_ms: float | None, patience: Patience) -> float:
        """How long so many posts wait for more of their like; 0 where waiting does not pay.

        Others of the like come every `gap_ms`. Those that are expected within the window must save the node
        more time than the posts that wait lose together.
        """
        taking_ms = self.service.pack_ms(posts) if posts >= POSTS_MIN else self.service.single_ms
        if posts >= size or gap_ms is None or not taking_ms:
            return 0.0
        window_ms = min(patience.ms_max, patience.share * taking_ms)
        expected = min(size, posts + int(window_ms / max(gap_ms, _GAP_MS_MIN)))
        if expected == posts:
            return 0.0
        if self._is_per_request:
            return window_ms
        gain_ms = self._saved_ms(expected) - self._saved_ms(posts)
        return window_ms if gain_ms > posts * window_ms else 0.0

    def _saved_ms(self, posts: int) -> float:
        return max(0.0, self.service.saved_ms(posts) or 0.0) if posts >= POSTS_MIN else 0.0

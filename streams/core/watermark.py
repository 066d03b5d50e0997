"""The watermark of a partition: everything below it is settled, so it is the offset that may be committed.

Records are settled in any order; the watermark moves over the contiguous prefix only. Records arrive and
mostly leave in spans (what one fetch brought), so the book is kept by span: a span that is settled whole
costs one step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence


class Span:
    """Records of one partition that were fetched together, and which of them are settled or given up."""

    __slots__ = (
        "_abandoned",
        "_head",
        "_open",
        "fetched_at_ms",
        "left",
        "offsets",
        "size_bytes",
        "written_at_ms",
    )

    def __init__(
        self, offsets: Sequence[int], *, size_bytes: int, at_ms: float, written_at_ms: float = 0.0
    ) -> None:
        self.offsets = offsets
        self.size_bytes = size_bytes
        self.fetched_at_ms = at_ms
        self.written_at_ms = written_at_ms
        """When the first of them was written, by the broker's clock."""
        self.left = len(offsets)
        """How many are not settled yet."""
        self._open: set[int] | None = None  # Made when a record leaves alone.
        self._abandoned: set[int] = set()
        self._head = 0

    def __repr__(self) -> str:
        return f"<Span {self.offsets[0]}..{self.offsets[-1]} | {self.left} of {len(self.offsets)} unsettled>"

    @property
    def awaited(self) -> int:
        """Records that are neither settled nor given up: what a drain waits for."""
        return self.left - len(self._abandoned)

    def settle_all(self) -> int:
        """Settle what is left; how many that were."""
        settled, self.left = self.left, 0
        self._open = set()
        self._abandoned.clear()
        return settled

    def settle(self, offset: int) -> bool:
        """Settle one record; False if it was settled before or never here."""
        open_offsets = self._opened()
        if offset not in open_offsets:
            return False
        open_offsets.remove(offset)
        self._abandoned.discard(offset)
        self.left -= 1
        return True

    def abandon(self, offsets: Iterable[int]) -> None:
        """Give records up: they stay unsettled, will be delivered again, and no drain waits for them."""
        self._abandoned.update(self._opened().intersection(offsets))

    def first_unsettled(self) -> int:
        """The smallest offset that is not settled; asked only while one is left."""
        if self._open is not None:
            while self.offsets[self._head] not in self._open:
                self._head += 1
        return self.offsets[self._head]

    def _opened(self) -> set[int]:
        """The offsets that are not settled, one by one from now on."""
        if self._open is None:
            self._open = set(self.offsets)
        return self._open


class Watermark:
    """What is settled of one partition since it was assigned."""

    __slots__ = ("_next", "_spans", "moved_at_ms", "unsettled", "unsettled_bytes")

    def __init__(self, *, at_ms: float) -> None:
        self._spans: deque[Span] = deque()
        self._next: int | None = None
        self.moved_at_ms = at_ms
        """When it moved last, or had nothing to wait for: since then it rests while records wait."""
        self.unsettled = 0
        self.unsettled_bytes = 0
        """Of all spans above the watermark, settled ones too: so it bounds what a crash repeats, as well."""

    def __repr__(self) -> str:
        return f"<Watermark {self.position} | {self.unsettled} unsettled in {len(self._spans)} spans>"

    @property
    def position(self) -> int | None:
        """The offset to commit: everything below it is settled. None before the first record."""
        return self._spans[0].first_unsettled() if self._spans else self._next

    @property
    def next_offset(self) -> int | None:
        """The offset up to which everything was seen."""
        return self._next

    @property
    def awaited(self) -> int:
        """Records that a drain waits for."""
        return sum(span.awaited for span in self._spans)

    @property
    def head(self) -> Span | None:
        """The span that holds the watermark."""
        return self._spans[0] if self._spans else None

    def fetched(
        self, offsets: Sequence[int], *, size_bytes: int, at_ms: float, written_at_ms: float = 0.0
    ) -> Span:
        """Register records in their order; holes between offsets (compaction, transactions) are no records.

        Offsets must lie beyond everything seen: `unseen` says from which index on they do.
        """
        if not offsets or (self._next is not None and offsets[0] < self._next):
            raise ValueError(f"offsets {offsets[:1]} do not continue {self._next}")
        span = Span(offsets, size_bytes=size_bytes, at_ms=at_ms, written_at_ms=written_at_ms)
        if not self._spans:
            self.moved_at_ms = at_ms
        self._spans.append(span)
        self._next = offsets[-1] + 1
        self.unsettled += len(offsets)
        self.unsettled_bytes += size_bytes
        return span

    def read_over(self, offset: int) -> None:
        """There is no record more before this offset: what follows are markers, or what compaction took."""
        self._next = offset if self._next is None else max(self._next, offset)

    def unseen(self, offsets: Sequence[int]) -> int:
        """The index of the first new offset: after a seek, a fetch may repeat what was there before."""
        return 0 if self._next is None else bisect_left(offsets, self._next)

    def settle_all(self, span: Span, *, at_ms: float) -> None:
        """Settle a whole span."""
        self.unsettled -= span.settle_all()
        self._sweep(at_ms)

    def settle(self, span: Span, offset: int, *, at_ms: float) -> bool:
        """Settle one record of a span; False if it was settled before."""
        holds_the_mark = span.left > 0 and self._spans[0] is span and span.first_unsettled() == offset
        if not span.settle(offset):
            return False
        self.unsettled -= 1
        if holds_the_mark:
            self.moved_at_ms = at_ms
        if not span.left:
            self._sweep(at_ms)
        return True

    def _sweep(self, at_ms: float) -> None:
        """Forget the settled spans at the head."""
        spans = self._spans
        while spans and not spans[0].left:
            self.unsettled_bytes -= spans.popleft().size_bytes
            self.moved_at_ms = at_ms

"""The lanes: what waits for a node, one lane a priority, and who goes next.

Within a lane the earliest deadline goes first, then the oldest. Between lanes the most urgent goes first,
except that every twelfth dispatch belongs to the lane whose last one lies furthest back: none is starved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")

LANES = 4
# 1 in 12: under any load above them, the others together get 8 % of the dispatches, and a lane that has
# records gets one within 48, since three other lanes may have their turn before it.
TURN_OF_THE_OTHERS = 12
_NEVER_MS = float("inf")


class Lanes(Generic[T]):
    """All that waits. Bounded by the engine, which holds partitions when too much is unsettled."""

    def __init__(self) -> None:
        # (deadline, arrival, sequence, item); the sequence keeps equal ones in the order they came in.
        self._heaps = self._emptied()
        self._sequence = 0
        self._dispatches = 0
        # The number of each lane's last dispatch.
        self._last = [0] * LANES

    def __len__(self) -> int:
        return sum(map(len, self._heaps))

    @staticmethod
    def _emptied() -> tuple[list[tuple[float, float, int, T]], ...]:
        return tuple([] for _ in range(LANES))

    def __repr__(self) -> str:
        return f"<Lanes | {', '.join(str(len(heap)) for heap in self._heaps)} waiting>"

    def waiting(self, lane: int) -> int:
        """How many wait in a lane."""
        return len(self._heaps[lane])

    def oldest_ms(self, lane: int) -> float | None:
        """When the oldest of a lane arrived."""
        return min((entry[1] for entry in self._heaps[lane]), default=None)

    def put(self, item: T, *, lane: int, at_ms: float, deadline_ms: float | None = None) -> None:
        """Queue up. What comes back after a failed attempt keeps its time, and so its place."""
        self._sequence += 1
        deadline = _NEVER_MS if deadline_ms is None else deadline_ms
        heappush(self._heaps[lane], (deadline, at_ms, self._sequence, item))

    def take(self) -> T | None:
        """Who goes next; None if nobody waits."""
        lane = self._next_lane()
        return None if lane is None else heappop(self._heaps[lane])[3]

    def move(self, item: T, lane: int) -> bool:
        """Let one who waits go on in another lane, with its time and deadline; whether it did wait."""
        for heap in self._heaps:
            for at, entry in enumerate(heap):
                if entry[3] is item:
                    heap[at] = heap[-1]
                    heap.pop()
                    heapify(heap)
                    heappush(self._heaps[lane], entry)
                    return True
        return False

    def expired(self, now_ms: float) -> Iterator[T]:
        """Take out everybody whose deadline has passed."""
        for heap in self._heaps:
            while heap and heap[0][0] <= now_ms:
                yield heappop(heap)[3]

    def next_deadline_ms(self) -> float | None:
        """The earliest deadline of all that wait."""
        earliest = min((heap[0][0] for heap in self._heaps if heap), default=_NEVER_MS)
        return None if earliest == _NEVER_MS else earliest

    def arrived_before(self, at_ms: float) -> list[T]:
        """Who has waited since before this."""
        return [entry[3] for heap in self._heaps for entry in heap if entry[1] < at_ms]

    def clear(self) -> list[T]:
        """Take out everybody."""
        heaps, self._heaps = self._heaps, self._emptied()
        return [entry[3] for heap in heaps for entry in heap]

    def remove(self, items: Collection[T]) -> None:
        """Take out these."""
        for heap in self._heaps:
            left = [entry for entry in heap if entry[3] not in items]
            if len(left) < len(heap):
                heap[:] = left
                heapify(heap)

    def _next_lane(self) -> int | None:
        busy = [lane for lane, heap in enumerate(self._heaps) if heap]
        if not busy:
            return None
        self._dispatches += 1
        is_turn_of_the_others = self._dispatches % TURN_OF_THE_OTHERS == 0
        lane = min(busy, key=self._last.__getitem__) if is_turn_of_the_others else busy[0]
        self._last[lane] = self._dispatches
        return lane

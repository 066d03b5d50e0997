"""Whose turn it is among those who pause, each for its own time: the most urgent, then who waits longest.

Given the time, it says; who is taken out, and why somebody pauses, is the caller's affair.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class Pausing(Generic[T]):
    """Those who pause, and those whose pause is over. Who comes without a pause may be the next."""

    def __init__(self) -> None:
        # The sequence keeps equal ones in the order they came in.
        self._until: list[tuple[float, int, int, T]] = []
        self._ready: list[tuple[int, int, T]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._until) + len(self._ready)

    def __repr__(self) -> str:
        return f"<Pausing | {len(self._until)} pause, {len(self._ready)} ready>"

    def come(self, item: T, *, urgency: int) -> None:
        """It needs no pause."""
        self._sequence += 1
        heappush(self._ready, (urgency, self._sequence, item))

    def pause(self, item: T, *, urgency: int, until_ms: float) -> None:
        """It is nobody's turn before then."""
        self._sequence += 1
        heappush(self._until, (until_ms, urgency, self._sequence, item))

    def ready(self, now_ms: float) -> int:
        """How many do not pause, or not any more."""
        while self._until and self._until[0][0] <= now_ms:
            _, urgency, sequence, item = heappop(self._until)
            heappush(self._ready, (urgency, sequence, item))
        return len(self._ready)

    def take(self) -> T | None:
        """The next of those who were ready when that was asked, or came since; None where nobody is."""
        return heappop(self._ready)[-1] if self._ready else None

    def wait_ms(self, now_ms: float) -> float:
        """How long until there is somebody to take; without anybody, for ever."""
        if self._ready:
            return 0.0
        return max(0.0, self._until[0][0] - now_ms) if self._until else float("inf")

    def clear(self) -> None:
        """Forget them all."""
        self._until.clear()
        self._ready.clear()

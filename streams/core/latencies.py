"""How long a node's last answers took: what can be expected of it, and what would be slow even for it."""

from __future__ import annotations

from collections import deque

_ANSWERS = 64
# What is older says nothing of a node that was slow for a moment: nothing may be left undone because of it.
FRESH_MS = 5_000.0
_ANSWERS_MIN = 8


class Latencies:
    """The last answers of one node."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: deque[tuple[float, float]] = deque(maxlen=_ANSWERS)

    def __repr__(self) -> str:
        return f"<Latencies {len(self._answers)} answers>"

    def answered(self, now_ms: float, took_ms: float) -> None:
        self._answers.append((now_ms, took_ms))

    def fastest_ms(self, now_ms: float) -> float:
        """The least that an answer took of late; 0 where nothing is known."""
        return min((took for at, took in self._answers if now_ms - at <= FRESH_MS), default=0.0)

    def slow_ms(self) -> float | None:
        """What 19 of 20 answers took at most; None where too few are known."""
        if len(self._answers) < _ANSWERS_MIN:
            return None
        took = sorted(took for _, took in self._answers)
        return took[min(len(took) - 1, (19 * len(took)) // 20)]

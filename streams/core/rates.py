"""What a node may be asked in a minute: requests, and tokens. An estimate is settled with what it cost.

A bucket that fills at the rate; it holds ten seconds' worth, so that a pause is not paid out as a burst.
"""

from __future__ import annotations

_BURST_MS = 10_000.0
_MINUTE_MS = 60_000.0


class Allowance:
    """So much a minute; 0 is no limit."""

    __slots__ = ("_at_ms", "_left", "per_minute")

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        self._left = self._burst
        self._at_ms = 0.0

    def __repr__(self) -> str:
        return (
            f"<Allowance {self._left:.0f} of {self.per_minute:g} a minute>"
            if self.per_minute
            else "<Allowance>"
        )

    @property
    def _burst(self) -> float:
        # One request must always fit in, however small the rate.
        return max(1.0, self.per_minute * _BURST_MS / _MINUTE_MS)

    def ready_at_ms(self, now_ms: float) -> float:
        """When something may be taken: now, or once the debt is paid."""
        if not self.per_minute:
            return now_ms
        missing = 1.0 - self._level(now_ms)
        # A little later than reckoned, so that nobody wakes a rounding error too early.
        return now_ms if missing <= 1e-9 else now_ms + missing * _MINUTE_MS / self.per_minute + 1e-3

    def take(self, now_ms: float, amount: float = 1.0) -> None:
        """Take; what is more than is left is owed, so that one large question is not stuck for ever."""
        if self.per_minute:
            self._left = self._level(now_ms) - amount
            self._at_ms = now_ms

    def settle(self, estimated: float, cost: float) -> None:
        """What it really cost."""
        if self.per_minute:
            self._left = min(self._burst, self._left + estimated - cost)

    def _level(self, now_ms: float) -> float:
        earned = (now_ms - self._at_ms) * self.per_minute / _MINUTE_MS
        return min(self._burst, self._left + max(0.0, earned))

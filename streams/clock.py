"""The one way to the time. Decisions get the time as an argument; shells ask this clock."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def now_ms(self) -> float:
        """Milliseconds of a clock that only goes forward."""
        return time.monotonic() * 1_000


class ManualClock:
    """A clock that stands until it is moved: for simulations and replays."""

    def __init__(self, *, wall_ms: int = 1_700_000_000_000) -> None:
        self._wall_ms = float(wall_ms)
        self._now_ms = 0.0

    def advance(self, ms: float) -> None:
        """Let time pass."""
        self._wall_ms += ms
        self._now_ms += ms

    def wall_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._wall_ms)

    def now_ms(self) -> float:
        """Milliseconds of a clock that only goes forward."""
        return self._now_ms

"""The slots that are kept free for critical ones: one in 32, lent out when none has come for a second.

In a smaller pool a whole slot is more than that share, so one is kept for that share of the time: of 8 slots
one, a quarter of the time. Below 8 slots none is kept: critical ones go first, and that must do.
"""

from __future__ import annotations

SLOTS_PER_RESERVED = 32
SLOTS_MIN = 8
LENT_AFTER_MS = 1_000.0
_SAVED_MS_MAX = 250.0


class Reserve:
    """Knows when the last critical one was here, and how long a slot was kept idle."""

    __slots__ = ("_at_ms", "_is_idle", "_last_ms", "_saved_ms")

    def __init__(self) -> None:
        self._last_ms = float("-inf")
        self._saved_ms = _SAVED_MS_MAX
        self._at_ms = 0.0
        self._is_idle = False

    def __repr__(self) -> str:
        return f"<Reserve, the last critical at {self._last_ms:.0f} ms, {self._saved_ms:.0f} ms saved>"

    def seen(self, now_ms: float) -> None:
        """A critical one has come, or left."""
        self._last_ms = max(self._last_ms, now_ms)

    def kept(self, slots: int, now_ms: float) -> int:
        """How many of so many slots are to stay free for critical ones."""
        if slots < SLOTS_MIN or now_ms >= self._last_ms + LENT_AFTER_MS:
            return 0
        if slots >= SLOTS_PER_RESERVED:
            return slots // SLOTS_PER_RESERVED
        return int(self._saved(slots, now_ms) > 1e-6)

    def idles(self, slots: int, now_ms: float, *, is_idle: bool) -> None:
        """Whether from now on a slot stays free because of this, though others wait."""
        self._saved_ms = self._saved(slots, now_ms)
        self._at_ms = now_ms
        self._is_idle = is_idle

    def lent_at_ms(self, slots: int, now_ms: float) -> float | None:
        """When what is kept is for everybody; None where nothing is."""
        if not self.kept(slots, now_ms):
            return None
        lent_ms = self._last_ms + LENT_AFTER_MS
        if slots < SLOTS_PER_RESERVED and self._is_idle:
            spent_ms = self._saved(slots, now_ms) / (1 - slots / SLOTS_PER_RESERVED)
            lent_ms = min(lent_ms, now_ms + spent_ms)
        return lent_ms

    def _saved(self, slots: int, now_ms: float) -> float:
        """For how long a slot may stay free: its share of the time, less what it was."""
        passed_ms = max(0.0, now_ms - self._at_ms)
        rate = slots / SLOTS_PER_RESERVED - self._is_idle
        return max(0.0, min(_SAVED_MS_MAX, self._saved_ms + rate * passed_ms))

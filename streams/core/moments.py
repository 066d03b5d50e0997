"""Kafka's timestamps on the clock that only goes forward, where deadlines and turns are compared."""

from __future__ import annotations

PARTED_MS = 2.0
"""Clocks that have parted by more are held together anew. The wall clock is read in whole milliseconds, so by
less than one they differ at every look; one that is being corrected parts by half a millisecond a second.
"""


class Moments:
    """Holds both clocks together, so that records that are equal on one are equal on the other.

    Reckoned from what both say at each record, one of two with the same timestamp would seem the older one,
    by chance, and their offsets would decide nothing.
    """

    __slots__ = ("_between_ms",)

    def __init__(self) -> None:
        self._between_ms: float | None = None

    def __repr__(self) -> str:
        return f"<Moments {self._between_ms} ms>"

    def at_ms(self, moment_ms: float, *, wall_ms: float, now_ms: float) -> float:
        """When a moment of the wall clock is, by the other clock; both clocks say that it is now."""
        between_ms = now_ms - wall_ms
        if self._between_ms is None or abs(between_ms - self._between_ms) > PARTED_MS:
            self._between_ms = between_ms
        return moment_ms + self._between_ms

"""How much may wait in the lanes, and of which lanes nothing more is fetched until some of it has gone.

Each lane has room of its own, enough for two packs, which the others cannot take; beyond that the lanes below
critical share one room. Critical ones have a room to themselves: they are never held because of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streams.core.lanes import CRITICAL, LANES

OWN_MIN = 32
"""Two packs of 16, the largest there are."""
PAUSE_AT = 0.8
RESUME_AT = 0.5
# The least urgent of those that take of the common room pauses first, the next one only when that did not do.
_PAUSE_STEPS = (PAUSE_AT, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Room:
    """How much may wait."""

    own: int
    shared: int

    @property
    def critical(self) -> int:
        """As much as all the others together."""
        return self.own * (LANES - 1) + self.shared


def room_for(slots: int, items_max: int) -> Room:
    """Four times what is on the nodes: ample to keep slots filled while the next fetch is under way."""
    items = max(256, min(4 * slots, items_max))
    return Room(own=OWN_MIN, shared=items - (LANES - 1) * OWN_MIN)


class Admission:
    """Which lanes take nothing more, at the moment."""

    def __init__(self) -> None:
        self.paused: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        return f"<Admission | lanes {sorted(self.paused) or 'none'} paused>"

    def look(self, waiting: Sequence[int], room: Room) -> bool:
        """Decide anew; whether anything changed.

        1. Critical pauses at 80 % of its room, and at nothing else.
        2. A lane within its own room does not pause.
        3. The others pause one after the other, the least urgent first, from 80 % of the common room on.
        4. All go on at 50 %; and a lane that has used up half of what it has for itself, too.
        """
        taken = [max(0, count - room.own) for count in waiting[CRITICAL + 1 :]]
        fill = sum(taken) / room.shared
        overflowing = [lane for lane in range(LANES - 1, CRITICAL, -1) if waiting[lane] > room.own]
        pausing = {
            lane for lane, step in zip(overflowing, _PAUSE_STEPS, strict=False) if fill >= step
        } | self._still(waiting, room, fill)
        if waiting[CRITICAL] >= room.critical * self._critical_step:
            pausing.add(CRITICAL)
        paused, self.paused = self.paused, frozenset(pausing)
        return paused != self.paused

    @property
    def _critical_step(self) -> float:
        return RESUME_AT if CRITICAL in self.paused else PAUSE_AT

    def _still(self, waiting: Sequence[int], room: Room, fill: float) -> set[int]:
        """Those that were paused and have no reason to go on."""
        if fill <= RESUME_AT:
            return set()
        return {lane for lane in self.paused - {CRITICAL} if waiting[lane] > room.own // 2}
